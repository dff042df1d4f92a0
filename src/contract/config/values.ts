/** Values that several sections of the configuration are made of. */
import * as z from "zod";

export const DAY_SECONDS = 86_400;

export const seconds = (min: number, max: number) => z.number().min(min).max(max);

/** What an error about a value of the wrong kind adds. By the schema of the value, without its default. */
export const HINTS = z.registry<{ hint: string }>();

/** An error of a key whose value does not go with that of another key. */
export function contradicts(
  context: z.core.$RefinementCtx,
  isSo: boolean,
  [key, message]: readonly [key: string, message: string],
): void {
  if (isSo) context.addIssue({ code: "custom", path: [key], message });
}

export const hasNoDuplicates = (list: readonly string[]) => new Set(list).size === list.length;

/** One line of text: a line break in it could forge a header of a mail or of a request. */
export const line = (maxCharacters: number) =>
  z
    .string()
    .max(maxCharacters)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u, "must not hold control characters or line breaks");

/** A value that stands for a secret of the environment as a whole. */
const SECRET_REFERENCE = /^\$\{[A-Za-z_][A-Za-z0-9_]{0,63}\}$/;

export const isSecretReference = (value: string) => SECRET_REFERENCE.test(value);

/** How a description shows the reference to a secret of that name. */
export const reference = (name: string) => `\`"\${${name}}"\``;
