/** Certificates for TLS on loopback, and the authorities that sign them. Only the tests trust them. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterAll } from "vitest";
import { temporaryFolder } from "./groups.ts";

export type TestCertificates = {
  /** The certificate of the authority, in PEM, which a client has to trust. */
  readonly ca: string;
  readonly caKey: string;
  /** The certificate of one host name, signed by the authority. */
  readonly cert: string;
  readonly key: string;
};

/** Longer than any run of the tests. */
const LIFETIME_MS = 86_400_000;

/** @param authorityOf whose authority signs, instead of a new one */
export async function makeCertificates(
  hostname = "localhost",
  authorityOf?: TestCertificates,
): Promise<TestCertificates> {
  const common = {
    algorithm: "sha256",
    keyType: "ec",
    notAfterDate: new Date(Date.now() + LIFETIME_MS),
  } as const;
  const authority = authorityOf ?? (await makeAuthority(common));
  const server = await generate([{ name: "commonName", value: hostname }], {
    ...common,
    ca: { key: authority.caKey, cert: authority.ca },
    extensions: [
      { name: "basicConstraints", cA: false },
      { name: "extKeyUsage", serverAuth: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: hostname }] },
    ],
  });
  return { ca: authority.ca, caKey: authority.caKey, cert: server.cert, key: server.private };
}

async function makeAuthority(common: object): Promise<{ ca: string; caKey: string }> {
  const authority = await generate([{ name: "commonName", value: "Authority of the tests" }], {
    ...common,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { ca: authority.cert, caKey: authority.private };
}

/**
 * To be called at the top of a test file: certificates of `localhost`, and a file with their authority for
 * `NODE_EXTRA_CA_CERTS`, which is there while the tests run.
 */
export async function certificatesOfThisFile(): Promise<{ certificates: TestCertificates; caFile: string }> {
  // In the folder of the run, if there is one: that folder is removed also after a crash of the test runner's worker.
  const folder = temporaryFolder("failover-certificates-");
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const certificates = await makeCertificates();
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, certificates.ca);
  return { certificates, caFile };
}
