import { describe, expect, it } from "vitest";
import { findHabits, type Kind } from "../../../../scripts/check/habits.ts";

const words = (text: string, kind: Kind = "code") => findHabits(text, kind).map((finding) => finding.words);

describe("idiom", () => {
  it.each([
    ["Whoever frees the lock", "Whoever"],
    ["ask whomever you like", "whomever"],
    ["in order, whatever restarts", "whatever"],
    ["the page tells of three ways", "tells of"],
    ["agents are told of attempts", "told of"],
    ["what was mended", "mended"],
    ["an error over there", "over there"],
    ["it stands in a stored line", "stands in a"],
    ["The dying do not inherit", "The dying"],
    ["and nobody overtakes", "nobody overtakes"],
    ["who frees it hands it on", "hands it on"],
    ["6 it goes on", "it goes on"],
    ["no coordinator answers so", "answers so"],
    ["2 wrong words", "wrong words"],
    ["Its incarnation over, it registers again", "Its incarnation over"],
    ["a map of the house", "of the house"],
    ["the agent is held back", "held back"],
    ["who waits in line", "waits in line"],
    ["its place in the line", "place in the line"],
  ])("is found in: %s", (text, found) => {
    expect(words(text, "code")).toEqual([found]);
    expect(words(text, "markdown")).toEqual([found]);
  });

  it("is found across a line break, in Markdown and in comments", () => {
    expect(words("an error over\nthere", "markdown")).toEqual(["over there"]);
    expect(words("> an error over\n> there", "markdown")).toEqual(["over there"]);
    expect(words("/**\n * an error over\n * there\n */")).toEqual(["over there"]);
    expect(words("// an error over\n  // there")).toEqual(["over there"]);
    expect(words("# an error over\n# there")).toEqual(["over there"]);
  });

  it("is not seen in words that merely contain it", () => {
    expect(words("a recommended amendment, in line with the outline, and over thereafter")).toEqual([]);
  });
});

describe("private vocabulary", () => {
  it.each([
    ["ledger", "const { ledger, ClusterLedger } = this.#ledger; const LEDGER = 1;"],
    ["desk", "const { desk, TaskDesk } = this.#desk; const DESK = 1;"],
    ["roster", "const { roster, AgentRoster } = this.#roster; const ROSTER = 1;"],
    ["doorbell", "const { doorbell, TheDoorbells } = this.#doorbells; const DOORBELL = 1;"],
    ["bell", "const { bells, TheBells } = host.bells; const BELL = 1;"],
    ["parcel", "const { parcel, TheParcel } = this.#parcel; const PARCEL_LIMIT = 1;"],
    ["casebook", "const { casebook, TheCasebook } = this.#casebook; const CASEBOOK = 1;"],
    ["teller", "const { teller, TheTeller } = this.#teller; const TELLER = 1;"],
    ["foresight", "const { foresight, TheForesight } = this.#foresight; const FORESIGHT = 1;"],
    ["speaker", "const { speaker, TheSpeaker } = this.#speaker; const SPEAKER = 1;"],
    ["registrar", "const { registrar, TheRegistrar } = this.#registrar; const REGISTRAR = 1;"],
    ["carrier", "const { carriers, TheCarrier } = this.#carriers; const CARRIER = 1;"],
    ["courier", "const { courier, TheCourier } = this.#courier; const COURIER = 1;"],
    ["repetition", "const { repetitions, TheRepetitions } = this.#repetitions; const REPETITION = 1;"],
    ["upkeep", "const { upkeep, TheUpkeep } = this.#upkeep; const UPKEEP = 1;"],
    ["patience", "const { patience, ThePatience } = this.#patience; const PATIENCE_MS = 1;"],
    ["credit", "const { credits, TheCredit } = this.#credits; const CREDIT = 1;"],
    ["unheard", "const { unheard, UnheardRevocations } = this.#unheard; const UNHEARD = 1;"],
  ])("finds %s in each of its forms", (_, text) => {
    expect(words(text)).toHaveLength(4);
  });

  it.each([
    ["new TaskBook()", "TaskBook"],
    ["this.#lockTable.all()", "lockTable"],
    ["LockLine.of(rows)", "LockLine"],
    ["class LockHandover {}", "LockHandover"],
    ["compare(a: PlaceInLine)", "PlaceInLine"],
    ["readonly PlacedInLine[]", "PlacedInLine"],
    ["new DurableLines(ctx)", "DurableLines"],
    ["function withinSize(all: readonly Letter[])", "Letter"],
    ["return { stream, letters: [] }", "letters"],
    ["parsed.letters.map(apply)", "letters"],
    ["times: TellingTimes", "Telling"],
    ["this.#tellings", "tellings"],
    ["if (isHeldBack(agent))", "isHeldBack"],
    ['type: "lock.freed"', "lock.freed"],
    ['type: "coordinator_paused"', "coordinator_paused"],
    ['type: "message.parked"', "message.parked"],
  ])("is found in: %s", (text, found) => {
    expect(words(text)).toEqual([found]);
  });

  it("leaves the words of the field alone", () => {
    const text = `lower-case letters; Letters and digits; "dead_letters"; class DeadLetter {}; accreditation; labels;
      telling one from the other; a telling: note; storyteller; desktop; wake-up; the Letters of the name`;
    expect(words(text)).toEqual([]);
  });

  it("is not asked of prose where the word has a common meaning", () => {
    expect(words("The Letter `a`. A repetition. Some patience.", "markdown")).toEqual([]);
  });
});

describe("a sentence that begins with a bare It", () => {
  it.each([
    ["It registers again.", "at the beginning"],
    ["The agent ends. It registers again.", "after another sentence"],
    ["The agent ends.\nIt registers again.", "at the beginning of a line"],
    ["- It registers again.", "in a list"],
    ["| agent | It registers again. |", "in a table"],
    ["**It** registers again. It’s late.", "with a short form"],
  ])("is found in: %s (%s)", (text) => {
    expect(words(text, "markdown")).toContain("It");
  });

  it("is allowed in code, in code within Markdown, and as a word", () => {
    expect(words("It registers again.", "code")).toEqual([]);
    expect(words('A test: `It works`.\n\n```sh\n# It works\n```\n\nIT staff say "it".', "markdown")).toEqual(
      [],
    );
  });
});

describe("a finding", () => {
  it("has the line where it begins, and says what to write instead", () => {
    expect(findHabits("one\ntwo, over\nthere\n```\nthe ledger\n```\nIt ends.", "markdown")).toEqual([
      { line: 2, words: "over there", instead: 'name the place: "on the server"' },
      { line: 5, words: "ledger", instead: "ClusterContext, GroupContext or NotifierContext" },
      { line: 7, words: "It", instead: "begin the sentence with its noun" },
    ]);
  });
});
