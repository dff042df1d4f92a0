/**
 * `NODE_EXTRA_CA_CERTS`: certificates that are trusted besides those that browsers trust. Node itself
 * only warns about a bad file; here it is an error, since later it would be a webhook that fails.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { done, type Outcome, refuse } from "./exit-codes.ts";

export function readExtraCertificates(path: string | null): Outcome<string[]> {
  if (path === null) return done([]);
  try {
    const text = readFileSync(path, "utf8");
    const certificates = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
    for (const certificate of certificates) new X509Certificate(certificate);
    if (certificates.length > 0) return done([...certificates]);
    return refuse("badSettings", `NODE_EXTRA_CA_CERTS: ${path} holds no certificate in PEM format`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refuse("badSettings", `NODE_EXTRA_CA_CERTS: ${path} cannot be used: ${reason}`);
  }
}
