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
                            *.@(txt|md) !(a*)  shopt -s nullglob globstar nocaseglob …
              variables     x=1  $x  ${x:-else} ${x:=set} ${x:+given} ${x:?gone}  ${#x}
                            ${x#from} ${x%to} ${x/a/b} ${x//a/b} ${x:1:3} ${x^^}
                            ${!x} ${x@Q}  $RANDOM $SECONDS $LINENO $FUNCNAME $_ $-
                            ${PIPESTATUS[@]}  declare -n other=x
              arrays        a=(x y)  a+=(z)  a[5]=v  ${a[1]} "${a[@]}" ${#a[@]} ${!a[@]}
                            declare -A m=([web]=8081)  ${m[$k]}  ((m[$k]++))
              parameters    $1 $2 … $# "$@" "$*" $0 $?   set -- a b, shift
              output        $(command) `command` <(command) >(command) $((1 + x * 2))
              lists         a; b   a && b   a || b   ! a   a | b   a |& b   a &
              compounds     if while until for case select { …; } ( … )
                            [[ $x == a* && -f f ]]   ((i++))   for ((i=0; i<3; i++))
                            time a | b (in lab time)
              functions     f() { local x=$1; return 1; }
              redirections  > >> < 2> 2>> 2>&1 >&2 &> &>> <<END <<-END <<< word <> 3< f
                            3>&1 1>&2 3>&- {fd}> f, also behind done and }; exec 3> f for
                            what follows; /dev/stdin, /dev/fd/3, /dev/zero, /dev/urandom
              options       set -e, set -u (always on until set +u), -x, -f, -C, -a, -E,
                            -T, -o pipefail; shopt
              builtins      read -r a b, declare, local, readonly, export, unset, let,
                            shift, return, break, :, mapfile, trap … EXIT ERR DEBUG
                            RETURN INT, umask, getopts p:v o, eval, source, exec, command,
                            type, hash, pushd,
                            sh -c, | bash -s, alias k='kill -9', unalias
              scripts       ./check.sh a b, bash check.sh a b: files of the lab
              host          !command runs in the machine's own shell: at the prompt, in
                            scripts with --allow-host, never under test

            Different from bash
              - A variable without a value is an error, as with set -u: a typo that runs is
                worse than one that stops. ${x:-} says that none is fine.
              - & is an operator only as a word of its own: http://h/?a=1&b=2 needs no
                quotes.
              - A script stops at its first command that fails, as with set -e, in loops
                and functions, too; set +e or --keep-going has it go on. The prompt does.
              - -> and <-> inside a word are text, and so is the | of {A,B}|{C}: they draw
                links and partitions.
              - $! is the newest job, as %3. There is no environment: export only sets.
              - Files are the lab's, not the machine's. A service that was started without &
                goes on as a job once it is ready.
              - ~ is $HOME, / unless it is set; $RANDOM comes from the lab's seed, $SECONDS
                and date from its clock; $$ is always 1000. <( ) is run to its end first,
                and a command is over when what its >( ) reads is.
              - Descriptors are 0 to 255, 64 at a time. At the prompt exec 3> f holds for
                the lines that follow, exec > f for its own. umask is remembered, and
                changes nothing: files have no modes.
              - bash -c knows all variables of its shell. A sum that makes no sense is found
                before anything runs; a division by zero gives up its line, as in bash.
              - Variables hold at most 4 MiB, a command's words 16 MiB.

            Refused before anything of a script has run: coproc, caller, complete, [[ a -nt
            b ]]. declare -f does not write functions, ulimit sets nothing.
            """)

    private static let transcripts = Topic(
        name: "transcripts", summary: "recordings of a terminal that check themselves",
        text: """
            A file with a line that begins `$ ` is a transcript: commands, and below each
            what it prints. `sdlab run` plays it, `sdlab test` holds it to every line, `-u`
            rewrites what differs; `record FILE` makes one of what you do.

              $ curl http://localhost:<=port>/      a command; its output below, complete
              ...                                   any number of lines
              [LB] Removed 8082 from pool           a log line, whichever command caused it
              [LB] Added 8082 to pool (never)       must not come; also (glob) (re) (?)
              [exit 7]                              the status, where it is not 0
              [30 seconds later]                    time passes, to the instant
              [within 1s]                           how long the next line may take
              > yes                                 typed into the program
              ^C                                    Ctrl-C, to what runs in the terminal
              # Terminal 2: the consumer            goes on in another terminal
              \\# text, \\$ text                      output that looks like something else

            Holes stand for what is new each time:

              <any>      anything, also nothing     <id>   letters, digits, _ and -
              <int>      12 or 1,200                <hex>  1f or 0x1f
              <num>      2.5                        <ts>   a time, with or without its date
              <dur>      12ms, 1m30s                <ip>   an address
              <pct>      33.4%                      <jwt>  a signed token
              <50~5>     within 5 of 50; <50~10%>   <int:n>, <50~5:n> keep it: <=n> must
                                                    equal it, $n is it in a later command

            Directives:

              @case NAME          begins a fresh world: clock, files, ports, nodes
              @seed N             where its chance begins (1)
              @epoch TIME         when it begins (2023-12-20T15:00:00Z)
              @clock SPEED        virtual, real, x60 (virtual)
              @net NET            memory or loopback, where only one will do
              @timeout 60s        the longest that a line is waited for
              @logs exact         every log line must be expected (subset)
              @order strict       log lines of all tags in one order (floating)
              @blanks collapse    blanks count as one, as they do in tables (exact)
              @terminal N         the terminal that is typed into
              @include FILE       the lines of another file, in its place
              @needs PROGRAM      skips the case where the machine has none
              @skip-if CONDITION  net=loopback, clock=real, user=root …
              @covers ID…         which requirements the case shows
              @fixture NAME       what a component brings to begin with
              @quote … @end       shown by run, and not typed

            Files for the lab stand at the end: `-- lb.yaml --` and their lines.

            Waiting is never written: while an expected line is missing, the clock steps to
            the next timer, until @timeout. A file without `$ ` is a script: each line is a
            command, and the first that fails ends it.

            An example, which passes as it stands:

              @case an example
              @seed 7
              @epoch 2024-01-15T10:00:00Z
              @clock virtual
              @net memory
              @timeout 60s
              @needs sh
              @skip-if clock=real
              @covers LB-C1
              @logs subset
              @order floating
              @blanks collapse
              @quote
              A backend, a balancer, and what it does when the backend dies.
              @end
              $ cat lb.yaml
              backends: [8081]
              $ backend --port 8081 --name web &
              $ curl -s -i http://web:8081/
              HTTP/1.1 <int:status> <any>
              ...
              Response from w* (glob)
              $ echo the status was $status
              the status was <=status>
              $ loadbalancer --config lb.yaml --port 80
              [LB] Listening on :<int>
              $ kill -9 web
              [30 seconds later]
              [LB] Removed 8081 from pool
              [LB] Added 8081 to pool (never)
              $ curl -s -f http://localhost/
              [exit 22]
              $ echo 2.5 12ms 33.4% a-1 0x1f 10:00:00 127.0.0.1 52
              <num> <dur> <pct> <id> <hex> <ts> <ip> <50~5>
              $ jwt keys new > out; jwt issue u1
              <jwt>
              $ echo '# a comment'
              \\# a comment
              @terminal 2
              $ read answer; echo "$answer"
              > yes
              yes
              # Terminal 1: the first one again
              $ sleep 1s; echo done
              [within 2s]
              done
              -- lb.yaml --
              backends: [8081]
            """)
}
