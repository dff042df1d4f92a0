/** Prints the demo. `styleText` uses no colours if stdout is not a terminal or NO_COLOR is set. */
import { styleText } from "node:util";

/** Columns of a text that is easy to read. */
const WIDTH = 100;

export const bold = (text: string) => styleText("bold", text);
export const dim = (text: string) => styleText("dim", text);
export const red = (text: string) => styleText("red", text);
export const green = (text: string) => styleText("green", text);
export const yellow = (text: string) => styleText("yellow", text);

export function heading(number: number, text: string): void {
  console.log(`\n${bold(`${number}  ${text}`)}`);
}

export function line(text: string): void {
  console.log(`   ${text}`);
}

/** A longer text below a line, wrapped between words. */
export function note(text: string, indent = 14): void {
  const margin = " ".repeat(indent);
  let row = "";
  for (const word of text.split(" ")) {
    if (row !== "" && margin.length + row.length + word.length >= WIDTH) {
      console.log(dim(margin + row));
      row = "";
    }
    row += row === "" ? word : ` ${word}`;
  }
  console.log(dim(margin + row));
}

/** An event, with the time since the kill. */
export function moment(sinceMs: number, text: string): void {
  console.log(`   ${dim(`+${(sinceMs / 1000).toFixed(2)} s`.padStart(9))}  ${text}`);
}

/** Text from agents without control characters, which could move the cursor. */
export function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}
