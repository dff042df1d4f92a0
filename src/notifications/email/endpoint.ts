/** Where a call of a mail provider's HTTP API goes. */

/**
 * @param base where the API is; a path and a query in it are kept. It must be an address.
 * @example endpoint("https://proxy.test/mail/", "/v3/send") === "https://proxy.test/mail/v3/send"
 */
export function endpoint(base: string, path: string): string {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
  return url.href;
}
