/**
 * `NODE_EXTRA_CA_CERTS`: certificates to trust in addition to those of browsers. Node only warns of an invalid file; here
 * such a file is an error, because otherwise a webhook would fail later.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { done, type Outcome, refuse } from "./outcome.ts";

export function readExtraCertificates(path: string | null): Outcome<string[]> {
  if (path === null) return done([]);
  try {
    const text = readFileSync(path, "utf8");
    const certificates = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
    for (const certificate of certificates) new X509Certificate(certificate);
    if (certificates.length > 0) return done([...certificates]);
    return refuse("badSettings", `NODE_EXTRA_CA_CERTS: ${path} contains no certificate in PEM format`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refuse("badSettings", `NODE_EXTRA_CA_CERTS: ${path} cannot be used: ${reason}`);
  }
}
