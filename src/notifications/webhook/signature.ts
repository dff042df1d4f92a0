/**
 * Signs requests by Standard Webhooks 1.0 (https://www.standardwebhooks.com): a receiver can check the sender, the body and
 * the time, and recognizes a repeated message by its id. While a key is replaced, a request has a signature by each key.
 */

/** The names of the keys in the configuration. */
type KeyName = "secret" | "previous_secret";

export type SigningKeys = Readonly<Record<KeyName, string>>;

export type Signing =
  | { readonly isSigned: true; readonly headers: Record<string, string> }
  | { readonly isSigned: false; readonly unusableKey: KeyName };

const PREFIX = "whsec_";

/** The specification asks for 24 to 64. Shorter keys are in use; one below 16 can be guessed. */
export const MIN_KEY_BYTES = 16;

/**
 * The headers of one attempt. Without a key these are the id and the time, so that a receiver still recognizes a repeated
 * message.
 * @param message `timestampSeconds`: of this attempt, since the epoch
 */
export async function signedHeaders(message: {
  id: string;
  timestampSeconds: number;
  body: string;
  secrets: SigningKeys;
}): Promise<Signing> {
  const { id, timestampSeconds, body, secrets } = message;
  const content = `${id}.${timestampSeconds}.${body}`;
  const signatures: string[] = [];
  for (const name of ["secret", "previous_secret"] as const) {
    if (secrets[name] === "") continue;
    const key = keyBytes(secrets[name]);
    if (key === null) return { isSigned: false, unusableKey: name };
    signatures.push(`v1,${await hmacBase64(key, content)}`);
  }
  return {
    isSigned: true,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(timestampSeconds),
      ...(signatures.length > 0 ? { "webhook-signature": signatures.join(" ") } : {}),
    },
  };
}

async function hmacBase64(keyMaterial: Uint8Array<ArrayBuffer>, content: string): Promise<string> {
  const key = await crypto.subtle.importKey("raw", keyMaterial, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content)));
  return btoa(String.fromCharCode(...signature));
}

function keyBytes(secret: string): Uint8Array<ArrayBuffer> | null {
  const base64 = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
  const digits = base64.replace(/={0,2}$/, "");
  // A single last digit is no whole byte: `atob` would throw.
  if (!/^[A-Za-z0-9+/]+$/.test(digits) || digits.length % 4 === 1) return null;
  const bytes = Uint8Array.from(atob(digits), (character) => character.charCodeAt(0));
  return bytes.length >= MIN_KEY_BYTES ? bytes : null;
}
