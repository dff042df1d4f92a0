/** How the story looks on a terminal. `styleText` leaves colour out where nobody sees it, and if NO_COLOR is set. */
import { styleText } from "node:util";

/** As wide as people read easily. */
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

/** A longer text below a line, broken at words. */
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

/** A line of what was seen, with the time since the kill. */
export function moment(sinceMs: number, text: string): void {
  console.log(`   ${dim(`+${(sinceMs / 1000).toFixed(2)} s`.padStart(9))}  ${text}`);
}

/** Control characters in what others sent must not move anybody's cursor. */
export function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}
