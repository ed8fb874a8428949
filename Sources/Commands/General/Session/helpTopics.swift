import CommandKit
import KernelStructures

/// What `help` says that is about no single command.
enum HelpTopic {
    struct Topic {
        let name: String
        let summary: String
        let text: String
    }

    static let all = [language, transcripts]

    static func named(_ word: String) -> Topic? { all.first { $0.name == word.lowercased() } }

    private static let language = Topic(
        name: "language", summary: "what can be typed: a shell, and where it differs from bash",
        text: """
            The language of the prompt, of scripts and of transcripts is a shell. What is
            not listed below means what it means in bash.

              words         'quoted' "with $x" $'tab\\t' {a,b} {1..9} *.txt [[:digit:]]?
              variables     x=1  $x  ${x:-else} ${x:=set} ${x:+given} ${x:?gone}  ${#x}
                            ${x#from} ${x%to} ${x/a/b} ${x//a/b} ${x:1:3} ${x^^}
              parameters    $1 $2 … $# "$@" "$*" $0 $?   set -- a b, shift
              output        $(command) `command`  $((1 + x * 2))
              lists         a; b   a && b   a || b   ! a   a | b   a &
              compounds     if while until for case { …; } ( … )
                            [[ $x == a* && -f f ]]   ((i++))   for ((i=0; i<3; i++))
              functions     f() { local x=$1; return 1; }
              redirections  > >> < 2> 2>> 2>&1 >&2 <<END <<-END <<< word,
                            also behind done and }
              options       set -e, set -u (always on until set +u), set -o pipefail
              builtins      read -r a b, export, unset, local, shift, return, break, :
              host          !command runs in the machine's own shell; never under test

            Different from bash
              - A variable without a value is an error, as with set -u: a typo that runs is
                worse than one that stops. ${x:-} says that none is fine.
              - & is an operator only as a word of its own: http://h/?a=1&b=2 needs no
                quotes.
              - A script stops at its first command that fails, as with set -e;
                --keep-going has it go on. The prompt does.
              - -> and <-> inside a word are text, and so is the | of {A,B}|{C}: they draw
                links and partitions.
              - $! is the newest job, as %3. There is no environment: export only sets.
              - Files are the lab's, not the machine's. A service that was started without &
                goes on as a job once it is ready.
              - ~ is $HOME, / unless it is set; $RANDOM comes from the lab's seed; of arrays
                there is one, ${BASH_REMATCH[1]}.
              - Variables hold at most 4 MiB, a command's words 16 MiB.

            Refused before anything of a script has run: other arrays, eval, exec, trap,
            source, declare, getopts, select, let, alias, <( ), |&, &>, ${!x}, $$, and
            descriptors above 2.
            """)

    private static let transcripts = Topic(
        name: "transcripts", summary: "recordings of a terminal that check themselves",
        text: """
            A file with a line that begins `$ ` is a transcript: commands, and below each
            what it prints. `sdlab run` plays it, `sdlab test` holds it to every line, `-u`
            rewrites what differs; `record FILE` makes one of what you do.

              $ curl http://localhost:<=port>/      a command; its output below, complete
              Response from <any>                   a hole: <any> <int> <num> <dur> <pct>
                                                    <id> <hex> <ts> <ip> <jwt>; <int:name>
                                                    keeps it, <=name> must equal it,
                                                    <50~5> lies within 5 of 50
              ...                                   any number of lines
              [LB] Removed 8082 from pool           a log line, whichever command caused it
              [LB] Added 8082 to pool (never)       must not come; also (glob) (re) (?)
              [exit 7]                              the status, where it is not 0
              [30 seconds later]                    time passes, to the instant
              [within 1s]                           how long the next line may take
              > yes                                 typed into the program
              # Terminal 2: the consumer            goes on in another terminal
              \\# text, \\$ text                      output that looks like something else

            Directives: @case NAME begins a fresh world; @seed N, @epoch TIME, @clock SPEED,
            @net memory|loopback, @timeout 60s, @logs exact, @order strict, @terminal N,
            @include FILE, @needs, @skip-if, @covers ID…, @quote … @end (shown, not run).
            Files for the lab stand at the end: `-- lb.yaml --` and their lines.

            Waiting is never written: while an expected line is missing, the clock steps to
            the next timer, until @timeout. A file without `$ ` is a script: each line is a
            command, and the first that fails ends it.
            """)
}
