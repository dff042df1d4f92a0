#!/usr/bin/env bash
#
# A complete agent in one file, for bash 4.4 or later with curl, grep and sed. Copy it, and replace the function `work`.
#
#   ADMIN_TOKEN=... AGENT_ID=agent1 bash examples/agent.sh
#
# Its rules: it works only after the answer to `start`. It gives up a task that it no longer holds (409). While the
# coordinator does not answer, it continues its work and repeats each result until it is accepted or refused. When its
# incarnation has ended (410), it registers again and lists the tasks that it is still running. If another process has
# registered its id, or it was unregistered by others, it stops its work and ends with an error. At SIGTERM it finishes
# running tasks, gives back the others and unregisters.
#
# Its processes:
#
#   main ----- polls, starts tasks, and is the only one that registers
#    |-- beat         sends the heartbeats. Its input is a pipe that only main holds open: when main has ended for any
#    |                reason, beat reads the end of the pipe, ends the other processes and stops.
#    `-- run_task     one for each task
#         `-- work    your work; its output is the result
#              `-- keep_lock   renews a lock until the pipe from work ends; then it releases the lock
#
# Limits. `grep -o` splits JSON exactly into its tokens, and the agent reads only what it needs; escapes in strings stay
# as they are. Ids, tokens, codes and numbers contain none. A JSON token takes about 10 microseconds: use jq for large `data`.
# TTLs are whole seconds, 3 or more. A task holds one lock at a time.

set -u

usage() {
  cat <<'HELP'
An agent of the failover coordinator, in bash and curl.

usage: ADMIN_TOKEN=... AGENT_ID=agent1 bash agent.sh [--help]

Environment:
  TOKEN, ADMIN_TOKEN           the token to register with
  AGENT_ID                     the id of the agent, for one process at a time
  URL                          the URL of the coordinator (http://127.0.0.1:8787)
  CLUSTER, GROUP               (default)
  AGENT_TYPE                   (worker)
  CAPABILITIES                 task types, with commas (count_words,take_steps,use_lock)
  MAX_CONCURRENT_TASKS         (4)
  HEARTBEAT_INTERVAL_SECONDS   (10)
  HEARTBEAT_TIMEOUT_SECONDS    (30)
  GRACE_SECONDS                time for running tasks after SIGTERM, in whole seconds (30)
HELP
}

case ${1-} in
  '') ;;
  -h | --help) usage && exit 0 ;;
  *) printf 'unknown argument "%s"; see --help\n' "$1" >&2 && exit 1 ;;
esac

REGISTRATION_TOKEN=${TOKEN:-${ADMIN_TOKEN:-}}
AGENT_ID=${AGENT_ID:-}
if [[ -z $REGISTRATION_TOKEN || -z $AGENT_ID ]]; then
  usage >&2
  exit 1
fi
CAPABILITIES=${CAPABILITIES:-count_words,take_steps,use_lock}
INTERVAL=${HEARTBEAT_INTERVAL_SECONDS:-10}
GRACE=${GRACE_SECONDS:-30}
CLUSTER_URL=${URL:-http://127.0.0.1:8787}/v1/clusters/${CLUSTER:-default}
GROUP_URL=$CLUSTER_URL/groups/${GROUP:-default}
SELF_URL=$GROUP_URL/agents/$AGENT_ID
# Programs that the work starts do not need the token.
export -n TOKEN ADMIN_TOKEN 2>/dev/null

# The server ends a poll at the heartbeat interval of the agent, if that is shorter.
readonly POLL_SECONDS=20 LOCK_WAIT_SECONDS=20 ANSWER_SECONDS=10 SHORT_ANSWER_SECONDS=3
# Pauses are short, so that the agent is back soon after an outage.
readonly FIRST_PAUSE_MS=200 LONGEST_PAUSE_MS=1000
# Exit codes of work: the agent no longer holds the task; the task fails and is not tried again.
readonly GIVEN_UP=75 NOT_RETRYABLE=65
readonly NOT_OURS='this answer is not of a coordinator; check the URL, and the proxies on the way'
readonly TAKEN='has registered this agent id; each process needs an id of its own'
LEAVING='' GIVING_UP='' ENDED=''
# Names this process, so that the coordinator can tell it from another process with the same id.
readonly INSTANCE=${HOSTNAME:0:128}/$$/$RANDOM$RANDOM$RANDOM

# Files that the processes share: `token`, `task.ID.ATTEMPT` with the pid of its process, `leaving`.
STATE=$(mktemp -d "${TMPDIR:-/tmp}/agent.XXXXXXXX") || exit 1
# For messages, also in functions whose output is a result.
exec 3>&1
MAIN=$BASHPID

say() { printf '%s: %s\n' "$AGENT_ID" "$1" >&3; }

# --- JSON

# The parts of the object or list on stdin, one in each line: `"name":value`, or `value`.
parts() {
  local depth=0 token
  LC_ALL=C grep -aoE '"([^"\\]|\\.)*"|[][{}:,]|[^][{}:," ]+' | while IFS= read -r token; do
    case $token in
      '}' | ']') ((--depth)) || break ;;
      ,) ((depth > 1)) || { printf '\n' && continue; } ;;
      '{' | '[') ((depth++)) || continue ;;
      *) ((depth)) || break ;;
    esac
    printf '%s' "$token"
  done
  printf '\n'
}

# The value of a member, from `parts` on stdin; a string has no quotes.
value() { sed -n "s/^\"$1\"://p" | sed 's/^"\(.*\)"$/\1/'; }

# A member of a member of the object on stdin.
inner() { parts | value "$1" | parts | value "$2"; }

json_string() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# The name of a lock, encoded for a path.
url_encode() {
  local LC_ALL=C text=$1 byte code at
  for ((at = 0; at < ${#text}; at++)); do
    byte=${text:at:1}
    case $byte in
      [A-Za-z0-9._~-]) printf '%s' "$byte" ;;
      *) printf -v code '%d' "'$byte" && printf '%%%02X' $((code & 255)) ;;
    esac
  done
}

# --- Calls

# Runs a program that ends when its shell gets a signal. Bash handles signals only between commands or in `wait`.
run() {
  "$@" 8>&- &
  wait $! && return
  local code=$?
  kill $! 2>/dev/null
  return "$code"
}

nap() { run sleep "$1"; }

# A pause that doubles with each try, with jitter, so that the agents of a fleet do not all try at the same time.
jittered() {
  local longest=$((FIRST_PAUSE_MS << ($1 < 10 ? $1 : 10)))
  ((longest < LONGEST_PAUSE_MS)) || longest=$LONGEST_PAUSE_MS
  local ms=$((longest / 2 + RANDOM % (longest / 2)))
  printf '%d.%03d' $((ms / 1000)) $((ms % 1000))
}

# once TOKEN METHOD URL [BODY]: one try. Sets STATUS (000: no answer) and ANSWER. An answer without EXPECT is not of the
# coordinator, and counts as none.
once() {
  local token=$1 method=$2 url=$3 body=${4-} out=$STATE/answer.$BASHPID
  local options=(--silent --output "$out" --write-out '%{http_code}' --max-time "${LIMIT:-$ANSWER_SECONDS}")
  [[ -z $body ]] || options+=(--header 'Content-Type: application/json' --data-binary @-)
  : >"$out"
  # The token is in a file, because every user of the machine can read arguments.
  curl "${options[@]}" --request "$method" \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$token") "$url" >"$out.status" <<<"$body" 8>&- &
  wait $! || kill $! 2>/dev/null
  STATUS=$(<"$out.status")
  ANSWER=$(<"$out")
  [[ ${STATUS:-000} != 000 ]] || STATUS=000
  if [[ $STATUS == 2* && $STATUS != 204 && $ANSWER != '{'*"${EXPECT-}"* ]]; then
    STATUS=000 ANSWER="$NOT_OURS"
  fi
}

# drop_answers PID...: removes the files of processes that have ended.
drop_answers() {
  local pid
  for pid; do rm -f "$STATE/answer.$pid" "$STATE/answer.$pid.status"; done
}

# Repeats `once` until the call is answered: every call of this agent may be repeated. Fails if the agent has to end, or
# after TRIES if that is set.
ask() {
  local tries=0 code
  while :; do
    once "$@"
    code=
    [[ $STATUS == 2* ]] || code=$(parts <<<"$ANSWER" | value code)
    case $STATUS in
      000 | 408 | 429 | 5*) [[ $code == not_configured ]] && return 0 ;;
      *) return 0 ;;
    esac
    is_stopping && return 1
    ((++tries < ${TRIES:-tries + 1})) || return 1
    [[ $ANSWER != "$NOT_OURS" ]] || code=$NOT_OURS
    ((tries > 1)) || say "$2 ${3#"$CLUSTER_URL"} was not answered ($STATUS $code), trying again"
    nap "$(jittered "$tries")"
  done
}

# Main stops at once; the process of a task continues until it gets a signal.
is_stopping() { [[ -n $LEAVING$GIVING_UP ]]; }

# Calls with the token of this incarnation. If it has ended, waits for the next one and calls again.
ask_as_agent() {
  local used
  while :; do
    used=$(<"$STATE/token")
    ask "$used" "$@" || return 1
    case $STATUS in
      401 | 410) ;;
      *) return 0 ;;
    esac
    # Only main registers, when its next poll is refused.
    while [[ $(<"$STATE/token") == "$used" ]]; do
      [[ ! -e $STATE/leaving ]] || return 0
      if ((BASHPID != MAIN)); then nap 0.2 && continue; fi
      is_final && end_at_once "$used" && return 1
      register_again
    done
  done
}

# --- Registration and heartbeats

# Starts a new incarnation. The tasks in `running_tasks` stay with this agent.
register() {
  local claims='' name body key setting
  for name in "$STATE"/task.*; do
    [[ -e $name ]] || continue
    name=${name#"$STATE/task."}
    claims+=${claims:+,}"{\"task_id\":\"${name%.*}\",\"attempt\":${name##*.}}"
  done
  body="{\"type\":$(json_string "${AGENT_TYPE:-worker}"),\"running_tasks\":[$claims],\"instance\":\"$INSTANCE\""
  body+=",\"capabilities\":[$(json_string "$CAPABILITIES" | sed 's/,/","/g')]"
  for key in MAX_CONCURRENT_TASKS HEARTBEAT_INTERVAL_SECONDS HEARTBEAT_TIMEOUT_SECONDS; do
    setting=${!key-}
    [[ -n $setting || $key != MAX_* ]] || setting=4
    [[ -z $setting ]] || body+=",\"${key,,}\":$setting"
  done
  EXPECT='"token":"' ask "$REGISTRATION_TOKEN" PUT "$SELF_URL" "$body}" || return 1
  if [[ $STATUS != 2* ]]; then
    [[ $ANSWER == '{'* ]] || ANSWER="{\"detail\":\"$NOT_OURS\"}"
    say "could not register: $STATUS $(parts <<<"$ANSWER" | value detail)"
    return 1
  fi
  local answer
  answer=$(parts <<<"$ANSWER")
  INTERVAL=$(value heartbeat_interval_seconds <<<"$answer")
  # `mv` replaces the file in one step, so that other processes read the old token or the new one.
  value token <<<"$answer" >"$STATE/token.new" && mv "$STATE/token.new" "$STATE/token"
  say "registered, incarnation $(value incarnation <<<"$answer")"
}

register_again() {
  say 'this incarnation has ended, registering again'
  # The agents of a fleet may register at the same time.
  nap "$(jittered 2)"
  [[ -n $LEAVING ]] || register && return
  if [[ $(parts <<<"$ANSWER" | value code) == agent_live ]]; then
    # Meanwhile another process has got the id.
    ENDED="another process$(named "$(parts <<<"$ANSWER" | value instance)") $TAKEN"
    end_at_once
  else
    nap "$(jittered 4)"
  fi
}

named() { [[ -z $1 || $1 == null ]] || printf ', %s,' "$1"; }

# Whether the coordinator has ended this agent for good, by the 410 in ANSWER. Sets ENDED to the reason.
is_final() {
  local members other
  members=$(parts <<<"$ANSWER")
  other=$(value superseded_by <<<"$members")
  # If the answer to a registration was lost, the other process is this one.
  [[ $other != "$INSTANCE" ]] || return 1
  case $(value reason <<<"$members") in
    superseded) ENDED="another process$(named "$other") $TAKEN" ;;
    unregistered) ENDED='the agent was unregistered by another caller; start it again to register it' ;;
    revoked) ENDED='the token that registered the agent was revoked; start it again with another token' ;;
    *) return 1 ;;
  esac
}

# end_at_once [TOKEN]: main stops. If another process has the id, a last heartbeat shows the coordinator that both live.
end_at_once() {
  LEAVING+=x
  : >"$STATE/leaving"
  [[ $ENDED != *"$TAKEN" || -z ${1-} ]] || LIMIT=$SHORT_ANSWER_SECONDS once "$1" POST "$SELF_URL/heartbeat" '{}'
  return 0
}

# Sends the heartbeats until main has ended.
beat() {
  # A signal to the process group is for main.
  trap '' TERM INT
  local pause
  while :; do
    LIMIT=$INTERVAL once "$(<"$STATE/token")" POST "$SELF_URL/heartbeat" '{}'
    pause=$INTERVAL
    [[ $STATUS != 000 ]] || pause=$(jittered 1)
    read -rt "$pause" _ || (($? > 128)) || break
    # Main is gone, and another process still holds the pipe open.
    kill -0 "$MAIN" 2>/dev/null || break
  done
  # Running tasks have no main any more.
  if under_way; then
    stop_works
    nap 1
  fi
  rm -rf "$STATE"
}

# --- Tasks

under_way() { compgen -G "$STATE/task.*" >/dev/null; }

stop_works() {
  local pid
  for pid in $(cat "$STATE"/task.* 2>/dev/null); do kill "$pid" 2>/dev/null; done
}

# Starts the tasks in the list. Main reports the start itself, because the list has a task until then.
take_tasks() {
  local task members id attempt url="$SELF_URL/tasks?limit=500&wait_seconds=$POLL_SECONDS"
  EXPECT='"items":[' LIMIT=$((POLL_SECONDS + ANSWER_SECONDS)) ask_as_agent GET "$url" || return
  if [[ $STATUS != 200 ]]; then
    say "could not read the tasks: $STATUS"
    nap "$(jittered 2)"
    return
  fi
  [[ $ANSWER != '{"items":[],'* ]] || return
  while IFS= read -r task <&4; do
    [[ -z $LEAVING ]] || return
    members=$(parts <<<"$task")
    id=$(value id <<<"$members")
    attempt=$(value attempt <<<"$members")
    [[ -n $id && ! -e $STATE/task.$id.$attempt ]] || continue
    stop_older_attempts "$id"
    # A pause, because the list may return at once with the task that was refused.
    report "$id" "$attempt" start || { nap 0.1 && continue; }
    # The file exists before the task runs, so that a registration in between lists the task.
    : >"$STATE/task.$id.$attempt"
    run_task "$id" "$attempt" "$(value type <<<"$members")" "$(sed -n 's/^"data"://p' <<<"$members")" 4<&- 8>&- &
  done 4< <(parts <<<"$ANSWER" | value items | parts)
}

# A new attempt of the same task: a result of an older attempt would not count.
stop_older_attempts() {
  local name
  for name in "$STATE/task.$1."*; do
    [[ ! -e $name || ${name%.*} != "$STATE/task.$1" ]] || kill "$(<"$name")" 2>/dev/null
  done
}

# run_task ID ATTEMPT TYPE DATA
run_task() {
  local id=$1 attempt=$2 out=$STATE/result.$1.$2 child='' code retryable=true name
  trap 'GIVING_UP=x; kill $child 2>/dev/null' TERM
  printf '%s\n' "$BASHPID" >"$STATE/task.$id.$attempt"
  say "works on $id, attempt $attempt"
  # At SIGTERM the work ends the program that it waits for, too.
  (trap 'kill ${!-} 2>/dev/null; exit 143' TERM && work "$@") >"$out" &
  child=$!
  # A trap ends `wait`, not the work.
  while wait "$child"; code=$?; kill -0 "$child" 2>/dev/null; do :; done
  if [[ -n $GIVING_UP || $code == "$GIVEN_UP" ]]; then
    say "gave up $id, attempt $attempt"
  elif [[ -e $STATE/lost.$child ]]; then
    report "$id" "$attempt" fail '"error":{"message":"lost its lock"}'
  elif ((code != 0)); then
    say "failed $id, attempt $attempt: exit code $code"
    ((code == NOT_RETRYABLE)) && retryable=false
    report "$id" "$attempt" fail "\"error\":{\"message\":\"exit code $code\",\"retryable\":$retryable}"
  elif report "$id" "$attempt" complete "\"result\":$(grep . "$out" || printf null)"; then
    say "finished $id, attempt $attempt"
  elif [[ $STATUS == 400 || $STATUS == 413 ]]; then
    report "$id" "$attempt" fail '"error":{"message":"the result was refused","retryable":false}'
  fi
  # The work may have ended while it waited for a lock.
  for name in "$STATE"/lock.*/waits; do
    [[ ! -e $name || $(<"$name") != "$child" ]] || rm -r "${name%/*}"
  done
  rm -f "$STATE/task.$id.$attempt" "$out" "$STATE/lost.$child"
  drop_answers "$BASHPID" "$child"
}

# report ID ATTEMPT WHAT [MEMBERS]: fails if the report is refused. Repeating a report does no harm.
report() {
  local body="{\"agent_id\":\"$AGENT_ID\",\"attempt\":$2${4:+,$4}}"
  EXPECT='"task":{' ask_as_agent POST "$CLUSTER_URL/tasks/$1/$3" "$body" || return 1
  [[ $STATUS == 200 ]] && return 0
  say "$3 of $1, attempt $2, was refused: $STATUS $(parts <<<"$ANSWER" | value code)"
  return 1
}

# progress FRACTION, for `work`: ends the work if the agent no longer holds the task. Without an answer, it continues.
progress() {
  STATUS=000
  LIMIT=$SHORT_ANSWER_SECONDS TRIES=1 report "$TASK_ID" "$TASK_ATTEMPT" progress "\"progress\":$1" && return
  case $STATUS in
    404 | 409) exit "$GIVEN_UP" ;;
  esac
}

# --- Locks

# lock RESOURCE TTL_SECONDS, for `work`: waits for the lock and sets FENCING_TOKEN. Send this token to the protected
# resource, which must refuse smaller tokens. The lock is renewed until `unlock`, or until the work and all that it
# started have ended. If the lock is lost, the work is killed.
lock() {
  local url turn body owner=$BASHPID
  url=$GROUP_URL/locks/$(url_encode "$1")
  # The holder of a lock is the agent, so its own tasks wait for each other here.
  turn=$STATE/lock.$(cksum <<<"$1" | sed 's/ .*//')
  until mkdir "$turn" 2>/dev/null; do nap 0.2; done
  printf '%s\n' "$owner" >"$turn/waits"
  body="{\"agent_id\":\"$AGENT_ID\",\"ttl_seconds\":$2,\"wait_seconds\":$LOCK_WAIT_SECONDS}"
  while :; do
    EXPECT='"fencing_token":' LIMIT=$((LOCK_WAIT_SECONDS + ANSWER_SECONDS)) \
      ask_as_agent POST "$url/acquire" "$body" || break
    if [[ $STATUS == 200 ]]; then
      FENCING_TOKEN=$(inner lock fencing_token <<<"$ANSWER")
      # The lock was granted at an unknown time during the wait. A renewal gives a whole TTL.
      EXPECT='"fencing_token":' ask_as_agent POST "$url/renew" "{\"fencing_token\":$FENCING_TOKEN}" || break
      if [[ $STATUS == 200 ]]; then
        exec 7> >(keep_lock "$url" "$2" "$owner" "$turn" 7>&-)
        LOCK_KEEPER=$!
        rm "$turn/waits"
        return 0
      fi
    elif [[ $STATUS != 409 ]]; then
      break
    fi
    nap "$(jittered 0)"
  done
  say "could not get the lock $1: $STATUS"
  rm -r "$turn"
  return 1
}

unlock() {
  exec 7>&-
  wait "$LOCK_KEEPER"
}

# keep_lock URL TTL_SECONDS OWNER TURN: its output is not part of the result.
keep_lock() {
  exec >/dev/null
  trap '' TERM INT
  local url=$1 ttl=$2 owner=$3 turn=$4 renewed=$SECONDS asked left
  local third=$(($2 > 3 ? $2 / 3 : 1))
  local pause=$third proof="{\"fencing_token\":$FENCING_TOKEN}"
  while read -rt "$pause" _ || (($? > 128)); do
    asked=$SECONDS
    # SECONDS counts whole seconds. The work ends before another agent can get the lock.
    left=$((renewed + ttl - 1 - asked))
    STATUS=late
    ((left <= 0)) || EXPECT='"fencing_token":' LIMIT=$((left < third ? left : third)) \
      once "$(<"$STATE/token")" POST "$url/renew" "$proof"
    case $STATUS in
      200) renewed=$asked pause=$third ;;
      000 | 408 | 429 | 5??) pause=$(jittered 1) ;;
      *)
        # A lock also ends with the incarnation that held it.
        say "lost the lock ${url##*/}: $STATUS"
        : >"$STATE/lost.$owner"
        kill "$owner" 2>/dev/null
        break
        ;;
    esac
  done
  LIMIT=$SHORT_ANSWER_SECONDS once "$(<"$STATE/token")" POST "$url/release" "$proof"
  rm -rf "$turn"
  drop_answers "$BASHPID"
}

# --- The work: replace it with your own

# work ID ATTEMPT TYPE DATA: prints its result as JSON; DATA is JSON. A non-zero exit code fails the task, and another
# attempt follows unless the code is NOT_RETRYABLE. Print messages with `say`. Start long-running programs with `run`;
# otherwise they continue when the work is given up.
work() {
  local TASK_ID=$1 TASK_ATTEMPT=$2 data steps step_seconds
  data=$(parts <<<"$4")
  steps=$(value steps <<<"$data") && steps=${steps:-10}
  step_seconds=$(value step_seconds <<<"$data")
  case $3 in
    count_words)
      [[ $data == *'"text":"'* ]] || return "$NOT_RETRYABLE"
      # In JSON a newline is `\n`.
      value text <<<"$data" | sed 's/\\[bfnrt]/ /g' | wc -w | sed 's/ *\([0-9]*\)/{"words":\1}/'
      ;;
    take_steps)
      take_steps
      printf '{"steps":%d}\n' "$steps"
      ;;
    use_lock)
      lock "$(value resource <<<"$data")" 10 || return 1
      take_steps
      printf '{"fencing_token":%d}\n' "$FENCING_TOKEN"
      unlock
      ;;
    *) return 1 ;;
  esac
}

take_steps() {
  local step
  for ((step = 1; step <= steps; step++)); do
    nap "${step_seconds:-0.5}"
    ((step == steps)) || progress "$(printf '0.%03d' $((1000 * step / steps)))"
  done
}

# --- Main

wait_for_works() {
  local until=$((SECONDS + $1))
  while under_way && ((SECONDS < until)) && [[ $LEAVING == "$2" ]]; do nap 0.1; done
}

# Running tasks may end, tasks that are not started are reassigned at once. No failure is recorded. A second signal ends
# the grace period.
leave() {
  local token
  : >"$STATE/leaving"
  say 'ending'
  if [[ -e $STATE/token ]]; then
    token=$(<"$STATE/token")
    LIMIT=$SHORT_ANSWER_SECONDS once "$token" POST "$SELF_URL/drain" '{"mode":"finish"}'
    wait_for_works "$GRACE" "$LEAVING"
    stop_works
    wait_for_works "$SHORT_ANSWER_SECONDS" "$LEAVING"
    LIMIT=$SHORT_ANSWER_SECONDS once "$token" DELETE "$SELF_URL"
    [[ $STATUS != 204 ]] || say 'unregistered'
  fi
}

trap 'LEAVING+=x' TERM INT
if ! register; then
  rm -rf "$STATE"
  [[ -n $LEAVING ]]
  exit
fi
exec 8> >(beat)
BEAT=$!
while [[ -z $LEAVING ]]; do take_tasks; done
if [[ -n $ENDED ]]; then
  printf '%s: %s\n' "$AGENT_ID" "$ENDED" >&2
  stop_works
  wait_for_works 1 "$LEAVING"
else
  leave
fi
exec 8>&-
wait "$BEAT"
[[ -z $ENDED ]]
