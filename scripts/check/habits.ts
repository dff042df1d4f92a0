/**
 * Habits of language that the project does not want, and what to write instead. `findHabits` is pure: it takes a text
 * and returns where it finds them. `words.ts` runs it over the repository.
 */

/** Markdown is prose with code in it; everything else is code with prose in it. */
export type Kind = "markdown" | "code";

export type Finding = {
  /** Counted from 1. */
  readonly line: number;
  /** As they stand in the text, in one line. */
  readonly words: string;
  readonly instead: string;
};

type Habit = { readonly pattern: RegExp; readonly instead: string; readonly only?: Kind };

const phrase = (pattern: string, instead: string): Habit => ({
  pattern: new RegExp(`\\b(?:${pattern.replaceAll(" ", "\\s+")})\\b`, "gi"),
  instead,
});

/** A noun in each of its forms: `ledger`, `#ledgers`, `ClusterLedger`, `LEDGER`. */
const noun = (name: string, instead: string, only?: Kind): Habit => {
  const capitalized = name.charAt(0).toUpperCase() + name.slice(1);
  const forms = [
    `(?<![A-Za-z])${name}s?(?![a-z])`,
    `${capitalized}s?(?![a-z])`,
    `(?<![A-Z])${name.toUpperCase()}S?(?![A-Z])`,
  ];
  return { pattern: new RegExp(forms.join("|"), "g"), instead, ...(only === undefined ? {} : { only }) };
};

const HABITS: readonly Habit[] = [
  // Idiom. A reader whose first language is not English has to guess what it means, or who acts.
  phrase("who(?:so)?ever|whomever", "name the actor: the coordinator, the agent, the caller"),
  phrase("whatever", '"any" with a noun: "in any state", "any number of tasks"'),
  phrase("(?:tells?|telling|told) of", '"reports", "lists" or "describes"; of a person: "is notified of"'),
  phrase("mend(?:s|ed|ing)?", '"fix" or "repair"'),
  phrase("over there", 'name the place: "on the server"'),
  phrase("stands? in an?", '"is stored in" or "is listed in"'),
  phrase("the dying", '"agents that fail at the same time"'),
  phrase("nobody overtakes", '"the order is kept"'),
  phrase("hand(?:s|ed|ing)? (?:it|them|the lock|the locks) on", '"grants it to the next waiter"'),
  phrase("it goes on", '"the task is still running", "the agent continues"'),
  phrase("answers? so", '"gives this response"'),
  phrase("wrong words", '"usage error"'),
  phrase("(?:its|their) incarnations? over", '"when its incarnation has ended"'),
  phrase("of the house", '"of the project"'),
  phrase("held back|hold(?:s|ing)? back", '"backpressured"'),
  phrase(
    "(?:places?|stands?|stood|stays?|waits?|waiting|waited|back|first|next) in (?:the )?line",
    '"in the queue", "queue position"',
  ),

  // Private names for things that have a name in the field.
  noun("ledger", "ClusterContext, GroupContext or NotifierContext"),
  noun("desk", "TaskCommands, LockService, MailboxService or ConfigService"),
  noun("roster", "AgentRegistry"),
  noun("taskBook", "TaskCache", "code"),
  noun("lockTable", "LockCache", "code"),
  noun("lockLine", "LockQueue", "code"),
  noun("lockHandover", "LockGranter", "code"),
  noun("placeInLine", "QueuePosition", "code"),
  noun("placedInLine", "QueuedTask", "code"),
  noun("durableLine", "DurableSockets", "code"),
  noun("doorbell", "Wakeups, wake"),
  noun("bell", "Wakeups, TopicWakeups"),
  noun("parcel", "MessageBatch"),
  {
    // A letter of the alphabet is a letter, and a message that can never be applied is a dead letter.
    pattern: /(?<=\w\.)letters\b|\bletters(?=\??: )|(?<![Dd]ead)Letters?(?![a-z]| [a-z])/g,
    instead: "OutboxMessage; of an email, EmailContent",
    only: "code",
  },
  noun("casebook", "IncidentGrouper"),
  noun("teller", "NotificationScheduler"),
  {
    pattern: /\btellings\b|Tellings?(?![a-z]| [a-z])/g,
    instead: "LastSent, NotificationTimes",
    only: "code",
  },
  noun("foresight", "FailoverSimulation, dryRun"),
  noun("speaker", "Principal"),
  noun("registrar", "Principal"),
  noun("carrier", "Transports"),
  noun("courier", "ChannelSender"),
  noun("repetition", "BackoffTimers", "code"),
  noun("upkeep", "Maintenance"),
  noun("patience", "TimeLimit", "code"),
  noun("credit", "deadline extension"),
  noun("unheard", "UndeliveredRevocations"),
  { pattern: /\b(?:isHeldBack|holdBack|heldBack)\b/g, instead: "isBackpressured, setBackpressured" },
  { pattern: /\block\.freed\b/g, instead: "lock.released" },
  { pattern: /\bcoordinator_paused\b/g, instead: "coordinator.paused" },
  { pattern: /\bmessage\.parked\b/g, instead: "message.dead_lettered" },
];

/** "It" at the beginning of a sentence: the noun it means is in another one. */
const BARE_IT: Habit = {
  pattern: /(?<![\w"'])It(?=['’]s\b|\s|$)/g,
  instead: "begin the sentence with its noun",
};

/**
 * @param text the whole file: a phrase may be wrapped over two lines
 * @returns what was found, by line
 */
export function findHabits(text: string, kind: Kind): Finding[] {
  const flowing = unwrapped(text);
  const found = HABITS.filter(({ only }) => only === undefined || only === kind).flatMap((habit) =>
    matches(flowing, habit),
  );
  if (kind === "markdown") found.push(...matches(unwrapped(withoutCode(text)), BARE_IT));
  return found
    .sort((one, other) => one.index - other.index)
    .map(({ index, words, instead }) => ({ line: lineAt(text, index), words, instead }));
}

function matches(text: string, { pattern, instead }: Habit) {
  return [...text.matchAll(pattern)].map((match) => ({
    index: match.index,
    words: match[0].replaceAll(/\s+/g, " "),
    instead,
  }));
}

/** Each line break, with what begins a line of a comment or a quotation, as so many spaces. */
const unwrapped = (text: string) =>
  text.replaceAll(/\n[ \t]*(?:\*|\/\/+|#+|>)?[ \t]*/g, (gap) => " ".repeat(gap.length));

/** Fenced blocks and code spans as so many spaces. */
const withoutCode = (text: string) =>
  text.replaceAll(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^ *\2[ \t]*$|(`+)[^`][\s\S]*?\3/gm, (code) =>
    code.replaceAll(/[^\n]/g, " "),
  );

const lineAt = (text: string, index: number) => text.slice(0, index).split("\n").length;
