import Testing

/// What people paste from their own shells: functions, `case`, `[[`, parameter expansion, `read`, options. bash says
/// what is right, as in `BashComparison`.
@Suite(.enabled(if: HostTools.hasBash))
struct BashPasteComparison {
    private func compare(_ scripts: [String]) throws { try BashComparison.compare(scripts) }

    @Test func functionsAreThoseOfAShell() throws {
        try compare([
            "f() { echo a; }; f", "f () { echo a; }; f; f", "function f { echo a; }; f", "function f() { echo a; }; f",
            "f() { echo $1-$2; }; f a b", "f() { echo $#; }; f a b c; f", "f() { echo \"$@\"; }; f 'a b' c",
            "f() { printf '<%s>' \"$@\"; }; f 'a b' c ''", "f() { printf '<%s>' $@; }; f 'a b' c",
            "f() { printf '<%s>' \"$*\"; }; f 'a b' c", "f() { for i in \"$@\"; do echo \"$i\"; done; }; f 'a b' c",
            "f() { for i; do echo \"$i\"; done; }; f 'a b' c", "f() { for i do echo $i; done; }; f 1 2",
            "f() { return 3; echo no; }; f; echo $?", "f() { false; return; }; f; echo $?",
            "f() { false; }; f; echo $?",
            "f() { x=2; }; x=1; f; echo $x", "f() { local x=2; echo $x; }; x=1; f; echo $x",
            "f() { local x; echo \"<$x>\"; }; x=1; f; echo $x",
            "f() { local x=2; g; }; g() { echo $x; }; x=1; f; echo $x",
            "f() { if [ $1 -gt 0 ]; then echo $1; f $(($1-1)); fi; }; f 3",
            "f() { echo in; } > o; f; cat o", "f() { cat; }; echo a | f", "f() { echo a; }; f | cat; x=$(f); echo $x",
            "f() { for i in 1 2 3; do [ $i = 2 ] && return 7; echo $i; done; }; f; echo $?",
            "f() { while true; do return 4; done; }; f || echo $?", "f() { g() { echo g; }; }; f; g",
            "f() { echo 1; }; f() { echo 2; }; f", "f() { echo $1; shift; echo $1; shift 2; echo $#; }; f a b c d",
            "f() (echo a; x=2); x=1; f; echo $x", "f() { echo a; } 2> /dev/null; f", "f() if true; then echo y; fi; f",
            "set -- a 'b c'; echo $#; echo $2; printf '<%s>' \"$@\"", "set -- a b; shift; echo $1 $#",
            "set -- x y; f() { echo $1; }; f z; echo $1", "f() { echo ${1}${2}; }; f a b",
            "f() { return 300; }; f; echo $?",
            "f() { echo a >&2; }; f 2> o; cat o", "f() { break; }; for i in 1 2; do echo $i; done",
            "f() { unset x; }; x=1; f; echo ${x-none}", "f() { echo a; }; unset -f f; f 2> /dev/null; echo $?",
            "f() { echo $#; }; f $(echo 1 2 3) \"$(echo 1 2 3)\"",
            "fib() { if (( $1 < 2 )); then echo $1; else "
                + "echo $(( $(fib $(($1-1))) + $(fib $(($1-2))) )); fi; }; fib 7", "f() { :; }; f; echo $?",
            "f() {\n  echo a\n  echo b\n}\nf", "f()\n{\n  echo a\n}\nf", "f() { echo a; }; f; f() { echo b; }; f",
            "set -- 1 2 3; while [ $# -gt 0 ]; do echo $1; shift; done", "set --; echo $#; shift; echo $?",
            "set -- a b c; echo \"${@:2}\"; echo ${@:1:2}; echo ${#@} ${#*}",
            "f() { local IFS=,; echo \"$*\"; }; f a b c",
            "f() { local a=1 b=2; echo $a$b; }; f; echo ${a:-unset}",
        ])
    }

    @Test func caseIsThatOfAShell() throws {
        try compare([
            "case a in a) echo 1;; b) echo 2;; esac", "case b in a) echo 1;; b) echo 2;; esac",
            "case c in a) echo 1;; esac; echo $?",
            "case abc in a*) echo y;; esac", "case abc in a|abc) echo y;; esac", "case x in (x) echo y;; esac",
            "case x in\n  a)\n    echo a\n    ;;\n  *)\n    echo other\n    ;;\nesac",
            "case 'a b' in 'a b') echo y;; esac",
            "x='a b'; case $x in 'a b') echo y;; *) echo n;; esac", "case \"*\" in '*') echo y;; esac",
            "case a in '*') echo q;; *) echo g;; esac", "p='a*'; case abc in $p) echo y;; *) echo n;; esac",
            "p='a*'; case abc in \"$p\") echo y;; *) echo n;; esac", "case a in a) ;; esac; echo $?",
            "case a in a) false;; esac; echo $?",
            "case a in a) echo 1;& b) echo 2;; c) echo 3;; esac", "case a in a) echo 1;;& *) echo 2;; esac",
            "case 5 in [0-9]) echo d;; esac", "case Q in [[:upper:]]) echo u;; esac",
            "case q in [![:upper:]]) echo l;; esac",
            "case $(echo a) in a) echo y;; esac", "case a in $(echo a)) echo y;; esac",
            "for i in 1 2 3; do case $i in 2) continue;; esac; echo $i; done",
            "case a in esac; echo $?", "case a in a) echo 1; echo 2 ;; esac | cat",
            "case a in a) echo 1 ;; esac > o; cat o",
            "f() { case $1 in -v) echo v;; --*) echo long;; -*) echo short;; '') echo none;; *) echo arg;; esac; }; f -v; f --x; f -x; f ''; f a",
            "case a.txt in *.txt) echo t;; *.md) echo m;; esac", "case '' in '') echo e;; esac",
            "x=$(case a in a) echo sub;; esac); echo $x",
            "(case a in a) echo sub;; esac)", "case a in a) case b in b) echo inner;; esac;; esac",
            "case a in\na) echo 1\nesac",
            "case in in in) echo in;; esac", "case if in if) echo kw;; esac", "case \"a\" in (a|b) echo y ;; esac",
            "false; case a in b) ;; esac; echo $?", "false; case a in a) echo $?;; esac",
        ])
    }

    @Test func conditionsInDoubleBracketsAreThoseOfBash() throws {
        let files = "echo a > f; true > empty; mkdir d; x=5; s='a b'; e=; "
        try compare(
            [
                "[[ a = a ]]", "[[ a == b ]]", "[[ a != b ]]", "[[ abc == a* ]]", "[[ abc == 'a*' ]]",
                "[[ abc != *z ]]",
                "[[ $s == 'a b' ]]", "[[ $s = a* ]]", "[[ -z $e ]]", "[[ -n $s ]]", "[[ -n $e ]]", "[[ $e ]]",
                "[[ $s ]]",
                "[[ a && b ]]", "[[ a && '' ]]", "[[ '' || b ]]", "[[ ! a ]]", "[[ ! '' ]]", "[[ ( a && '' ) || b ]]",
                "[[ a || b && '' ]]", "[[ 1 -lt 2 ]]", "[[ x -eq 5 ]]", "[[ $x -ge 5 ]]", "[[ 1+1 -eq 2 ]]",
                "[[ a < b ]]",
                "[[ b < a ]]", "[[ b > a ]]", "[[ -f f ]]", "[[ -d d && -f f ]]", "[[ -e nosuch ]]", "[[ -s f ]]",
                "[[ -s empty ]]",
                "[[ abc =~ ^a.c$ ]]", "[[ abc =~ b ]]", "[[ abc =~ ^b ]]", "[[ 123 =~ ^[0-9]+$ ]]",
                "[[ a.c =~ a\\.c ]]",
                "[[ abc =~ a\\.c ]]", "[[ ab =~ ^(a|b)+$ ]]", "[[ 'a b' =~ a\\ b ]]", "r='^a+$'; [[ aaa =~ $r ]]",
                "r='a.c'; [[ abc =~ \"$r\" ]]", "[[ a &&\nb ]]", "[[ ! a && b ]]", "[[ ! ( a && b ) ]]",
                "[[ $(echo a) == a ]]", "[[ a == [a-c] ]]", "[[ d == [!a-c] ]]", "[[ ab == ?b ]]", "[[ '' == '' ]]",
                "[[ -n '' || -z '' ]]",
                "if [[ $x == 5 ]]; then echo five; fi", "[[ $x == 4 ]] || echo four",
                "while [[ $x -gt 3 ]]; do x=$((x-1)); done; echo $x",
                "p='a*'; [[ abc == $p ]]", "p='a*'; [[ abc == \"$p\" ]]", "[[ a<b ]]", "[[ a = a && b = b ]]",
                "[[ -f f ]] && [[ -d d ]]",
            ].map { files + $0 + "; echo $?" })
    }

    @Test func parametersExpandAsInBash() throws {
        try compare([
            "echo ${x:-a}", "x=; echo ${x:-a}", "x=; echo \"<${x-a}>\"", "x=b; echo ${x:-a}",
            "echo ${x:=a}; echo $x", "x=b; echo ${x:+c}",
            "echo \"<${x:+c}>\"", "x=; echo \"<${x+c}>\"", "(echo ${x:?gone}) 2> /dev/null; echo $?",
            "x=a; echo ${x:?gone}",
            "x=abc; echo ${#x}", "x=; echo ${#x}", "x=a.b.c; echo ${x#*.} ${x##*.} ${x%.*} ${x%%.*}",
            "x=abc; echo ${x#a} ${x#b} ${x%c} ${x%b}",
            "x=/a/b/c.txt; echo ${x##*/} ${x%/*}", "x=aXbXc; echo ${x/X/-} ${x//X/-}", "x=abc; echo ${x/b} ${x//b/}",
            "x=abab; echo ${x/#a/-} ${x/%b/-}",
            "x=abc; echo ${x/z/-}", "x=a/b/c; echo ${x//\\//-}", "x=hello; echo ${x:1} ${x:1:3} ${x: -2} ${x:0:-1}",
            "x=hello; echo ${x:10}",
            "x=hello; n=2; echo ${x:n} ${x:$n:1} ${x:n+1}", "x=hello; echo ${x^} ${x^^}", "x=HELLO; echo ${x,} ${x,,}",
            "printf '<%s>' ${x:-a b}", "printf '<%s>' \"${x:-a b}\"", "printf '<%s>' ${x:-'a b'}",
            "printf '<%s>' ${x:-\"a b\" c}", "y=z; echo ${x:-$y}",
            "echo ${x:-$(echo sub)}", "x=1; echo ${x:-$(echo never >&2)}", "echo ${x:-${y:-deep}}",
            "echo \"${x:-\"quoted\"}\"", "x=a; echo \"${x}'b'\"",
            "x='a*c'; echo \"${x#a\\*}\"", "x='a*c'; echo \"${x#'a*'}\"", "x=aaa; echo ${x#a*} ${x##a*}",
            "x=abc; p='a*'; echo \"<${x#$p}>\" \"<${x##$p}>\" \"${x#\"$p\"}\"",
            "x=abcabc; echo ${x//[ab]/-}", "x='a b c'; echo ${x// /_}", "x=abc; echo ${x/*/z}",
            "x=; echo \"<${x/a/b}>\" \"<${x#a}>\"",
            "x=ab; echo ${x//}", "x=a; x+=b; echo $x", "x=1; x+=1; echo $x", "echo ${x-}${y-}z",
            "x=1; unset x; echo ${x-gone}",
            "x=abc; echo ${x:0:1}${x:2:1}", "x=path/to; echo ${x%%/*}", "x=a:b:c; echo ${x//:/ }",
            "echo ${x:-a}${x:-b}", "echo ${x:=1}${x:=2}",
            "x='  a  b '; printf '<%s>' ${x}", "x=abc; echo \"${x:1:1}\"", "x=a; echo ${x:-}}",
            "echo \"${x:-a\\}b}\"", "x=5; echo ${x:-1}$((${x:-1}+1))",
            "x=foo.tar.gz; echo ${x%.gz} ${x%%.*} ${x#*.}", "set -- a bb ccc; echo ${#1} ${#2} ${3#c}",
            "set -- ab ac; echo ${@#a} ${@/a/x}",
            "x=hello; echo ${x: -3:2} ${x:(-3)}", "x=abc; echo ${x:1:0}.", "x=abc; echo ${x/a/\\&}",
        ])
    }

    @Test func quotesAndBackquotesAreThoseOfBash() throws {
        try compare([
            "echo `echo a`", "echo \"`echo 'a  b'`\"", "echo `echo \\`echo nested\\``", "x=`echo a b`; echo \"$x\"",
            "echo `echo \\$HOMEX` | wc -l",
            "echo \"`echo \"a\"`\"", "echo `echo a | cat`b", "echo '`echo a`'", "echo \\`a", "cat <<E\n`echo a`\nE",
            "cat <<'E'\n`echo a`\nE",
            "echo $'a\\tb'", "echo $'it\\'s'", "echo $'a\\nb'", "printf '%s' $'\\e[0m' | wc -c", "echo \"$'a'\"",
            "x=$'a b'; printf '<%s>' \"$x\"", "echo $\"hello\"", "printf '\\303\\251\\n'", "printf '\\xc3\\xa9\\n'",
            "printf '\\x41\\n'", "printf '%b\\n' '\\0303\\0251'",
            "echo -e '\\xc3\\xa9'", "echo -e 'a\\cb'; echo c", "printf 'a%b' 'b\\cc' d; echo e",
            "printf '\\045d\\n'", "echo -e '\\0101\\x42'",
            "echo $(cat <<E\na\nE\n)", "x=$(cat <<'E'\n$y\nE\n); echo \"$x\"",
            "echo $(cat <<A; cat <<B\n1\nA\n2\nB\n)", "cat <<E\n$(cat <<F\ninner\nF\n)\nE",
            "cat <<< abc", "x='a  b'; cat <<< $x", "x='a  b'; cat <<< \"$x\"", "cat <<< 'a b' | wc -c",
            "tr a b <<< aaa", "cat <<< \"\"", "cat <<<a",
        ])
    }

    @Test func charactersBeyondASCIIAreThoseOfBash() throws {
        try BashComparison.compare(
            [
                "x=é漢; echo ${#x} ${x:1}", "echo $'\\x41\\u00e9\\101'", "printf '\\u00e9\\n'",
                "x=Grüße; echo ${x^^} ${x%e}", "x=äöü; echo ${x/ö/o}",
                "case ä in [[:alpha:]]) echo letter;; esac", "[[ é == ? ]] && echo one",
                "x=日本; for ((i=0; i<${#x}; i++)); do echo ${x:i:1}; done",
            ], locale: "C.UTF-8")
    }

    @Test func groupsAndSubshellsAreThoseOfAShell() throws {
        try compare([
            "{ echo a; echo b; }", "{ echo a; echo b; } | cat", "{ echo a; } > o; cat o", "(echo a)",
            "( echo a; echo b ) | sort -r", "(x=2; echo $x); echo ${x:-unset}",
            "x=1; { x=2; }; echo $x", "(exit 3); echo $?", "(exit 3) || echo $?", "( false ); echo $?",
            "(echo a) > o; cat o", "mkdir d; (cd d; true > x; echo *); echo *",
            "mkdir d; x=$(cd d; echo in); echo $x *", "{ false; } || echo no", "(echo a; (echo b; (echo c)))",
            "{ echo a; } && (echo b)", "(for i in 1 2; do echo $i; done)",
            "{ read x; echo \"<$x>\"; } <<< hello", "echo a | (cat; echo b)", "echo a | { cat; echo b; }",
            "f() { (return 3); echo $?; }; f", "{ :; }; echo $?",
            "{ echo a\necho b\n}", "(\necho a\n)", "( (echo a) )", "echo $( (echo a) )", "{ echo }; }",
            "echo a; { echo b; }; echo c", "exit 3 | true; echo $?",
            "if (exit 1); then echo y; else echo n; fi", "! (exit 1); echo $?", "(exit 5) && echo a; echo $?",
        ])
    }

    @Test func readTakesLinesAsInBash() throws {
        try compare([
            "echo a b c | while read x y; do echo \"$x|$y\"; done",
            "printf '1\\n2\\n3\\n' | while read n; do echo $((n*2)); done",
            "seq 3 > f; while read n; do echo \"<$n>\"; done < f",
            "read x <<< 'a b'; echo \"$x\"", "read x y <<< 'a b c'; echo \"$x-$y\"",
            "read x y z <<< 'a b'; echo \"<$x><$y><$z>\"", "IFS=: read a b c <<< x:y:z:w; echo $a $b $c",
            "IFS=, read a b <<< ' 1 , 2 '; echo \"<$a><$b>\"", "IFS= read x <<< '  a  '; echo \"<$x>\"",
            "read x <<< '  a  '; echo \"<$x>\"", "read -r x <<< 'a\\tb'; echo \"$x\"",
            "read x <<< 'a\\tb'; echo \"$x\"", "read <<< ' a b '; echo \"<$REPLY>\"",
            "printf 'a\\\\\\nb\\n' | { read x; echo \"$x\"; }", "printf 'no newline' | { read x; echo \"$? $x\"; }",
            "printf 'a\\nb' | while read x; do echo $x; done",
            "printf 'a\\nb' | while read x || [ -n \"$x\" ]; do echo $x; done", "read x < /dev/null; echo $?",
            "seq 5 > f; { read a; read b; cat; } < f; echo $a$b", "seq 5 | { read a; head -n 1; }; echo done",
            "while read -r k v; do echo \"$k=$v\"; done <<E\na 1\nb 2 3\nE",
            "printf 'a b\\n\\nc\\n' | while read x; do echo \"<$x>\"; done",
            "IFS=: read -r a b <<< 'a::b'; echo \"<$a><$b>\"", "IFS=: read a b c <<< 'x::y'; echo \"<$a><$b><$c>\"",
            "printf '1 2\\n3 4\\n' | while read a b; do echo $((a+b)); done | tail -n 1",
            "n=0; while read l; do n=$((n+1)); done <<< $'a\\nb\\nc'; echo $n",
            "for i in 1 2; do read x; echo \"$i$x\"; done <<< $'a\\nb'",
            "read x y <<< '  a   b  c  '; echo \"<$x><$y>\"", "IFS=: read x <<< 'a:'; echo \"<$x>\"",
            "IFS=: read x y <<< 'a:b:'; echo \"<$x><$y>\"",
            "read 2>/dev/null a-b <<< x; [ $? -ne 0 ] && echo bad",
        ])
    }

    @Test func fieldsAreSplitAtIFS() throws {
        try compare([
            "IFS=,; x=a,b,c; printf '<%s>' $x", "IFS=,; x=a,,c; printf '<%s>' $x", "IFS=,; x=,a; printf '<%s>' $x",
            "IFS=,; x=a,; printf '<%s>' $x", "IFS=', '; x='a , b,c  d'; printf '<%s>' $x",
            "IFS=:; x='a b:c'; printf '<%s>' $x", "IFS=; x='a b'; printf '<%s>' $x", "IFS=,; x=a,b; echo \"$x\" $x",
            "IFS=/; set -- $(echo a/b/c); echo $#", "IFS=,; set -- a b; echo \"$*\"",
            "IFS=; set -- a b; echo \"$*\"", "x=a,b; IFS=, ; for i in $x; do echo $i; done",
            "IFS=$'\\n'; x=$'a b\\nc'; for i in $x; do echo \"<$i>\"; done",
            "set -- '' a; printf '<%s>' $@ x", "set -- '' a; printf '<%s>' \"$@\"", "set --; printf '<%s>' \"$@\" x",
            "set -- a b; printf '<%s>' x\"$@\"y", "set -- a; printf '<%s>' \"$@\"\"$@\"",
            "set --; printf '<%s>' \"$*\"", "set -- 'a b' c; printf '<%s>' $*",
        ])
    }

    @Test func aConditionsStatusIsSeenBehindElse() throws {
        try compare([
            "if false; then :; else echo $?; fi", "f() { return 3; }; if f; then :; else echo $?; fi",
            "if ! true; then :; else echo $?; fi", "if (exit 7); then :; elif (exit 8); then :; else echo $?; fi",
            "if false; then :; fi; echo $?", "if false; then :; elif false; then :; fi; echo $?",
            "if (exit 7); then :; else true; fi; echo $?",
        ])
    }

    @Test func optionsAreThoseOfAShell() throws {
        try compare([
            "set -e; echo a; false; echo b", "set -e; false || echo a; echo b",
            "set -e; if false; then echo x; fi; echo b", "set -e; false && echo x; echo b", "set -e; ! true; echo b",
            "set -e; while false; do echo; done; echo b", "set -e; f() { false; echo in; }; f; echo b",
            "set -e; f() { false; echo in; }; f || echo caught; echo b", "set -e; (false; echo sub); echo b",
            "set -e; x=$(false); echo b", "set -e; echo $(false; echo in); echo b", "set -e; false | true; echo b",
            "set -e; true | false; echo b", "set -e; { false; echo g; }; echo b", "set -e; set +e; false; echo b",
            "set -o pipefail; false | true; echo $?", "false | true; echo $?",
            "set -o pipefail; true | false | true; echo $?", "set -eo pipefail; false | cat; echo b",
            "set -euo pipefail; echo a; [[ a == b ]]; echo b",
            "set -e; for i in 1 2; do [ $i = 2 ]; echo $i; done; echo b", "set -e; true && false; echo b",
            "set -e; if true; then false; fi; echo b", "set -e; until true; do false; done; echo b",
            "set -e; case a in a) false;; esac; echo b", "set -e; f() { return 3; }; f; echo b",
            "set -e; (exit 4); echo b", "set -u; x=1; echo $x", "set -e; (( 0 )); echo b", "set -e; (( 1 )); echo b",
            "set -e; x=1; (( x-- )) && echo y; echo b", "export x=1; echo $x", "x=1; export x; echo $x",
        ])
    }

    @Test func sumsAreThoseOfBash() throws {
        try compare([
            "x=1; ((x++)); echo $x", "x=1; echo $((x++)) $x $((++x)) $x", "((1)); echo $?", "((0)); echo $?",
            "x=5; ((x+=3)); echo $x; ((x<<=1)); echo $x", "echo $((2**10)) $((2**0)) $((2**3**2))",
            "echo $((1 ? 2 : 3)) $((0 ? 2 : 3))", "echo $((1 && 0)) $((1 || 0)) $((!0)) $((!5))",
            "echo $((5 & 3)) $((5 | 3)) $((5 ^ 3)) $((~5))", "echo $((1 << 4)) $((256 >> 4))",
            "echo $((0x1f)) $((010))",
            "x=0; echo $((x=5, x*2)) $x", "for ((i=0; i<3; i++)); do echo $i; done",
            "for ((i=3; i>0; i--)) do echo $i; done", "for ((;;)); do break; done; echo ok",
            "for ((i=0, j=5; i<j; i++, j--)); do echo $i $j; done",
            "i=0; while ((i < 3)); do echo $i; ((i++)); done", "if ((2 > 1)); then echo y; fi", "((x = 3)); echo $x",
            "x=5; echo $((x > 3 ? x : 0))", "x=3; echo $((x % 2 == 1))", "echo $(( (1+2) * (3+4) ))",
            "x=2; y=3; echo $((x**y))", "echo $((-2**2))", "echo $((7 & ~1))", "echo $((1 == 1 && 2 == 2))",
            "a=1; b=2; ((a > b)) || echo no", "x=10; ((x /= 3)); echo $x; ((x %= 2)); echo $x",
            "echo $((- -5)) $((+-5))",
            "set -- 4 5; echo $(($1 + $2)) $(($# * 2))", "x=abc; echo $((${#x} + 1))", "echo $(( $(echo 3) * 2 ))",
            "x='1+2'; echo $(($x*2))", "echo $((x == 0))", "i=5; echo $((i--)) $((--i)) $i", "echo $((1,2,3))",
            "for ((i=0; i<5; i++)); do ((i == 2)) && continue; echo $i; done",
            "n=3; for ((i=1; i<=n; i++)); do echo -n \"$i \"; done; echo",
        ])
    }

    @Test func characterClassesInPatternsAreThoseOfAShell() throws {
        let files = "true > a1; true > B2; true > c-3; true > 'd e'; true > 9; true > _u; true > a.b; "
        try compare(
            [
                "echo [[:alpha:]]*", "echo [[:digit:]]", "echo [[:upper:]]*", "echo [[:lower:]]?",
                "echo *[[:space:]]*", "echo *[[:punct:]]*", "echo [![:alpha:]]*", "echo [^[:alpha:]_]",
                "echo [[:alnum:]]*",
                "echo [[:digit:][:upper:]]*", "echo [a[:digit:]]*", "echo [[:nosuch:]]*", "echo [[:xdigit:]]*",
                "echo [_[:alpha:]]?", "echo [[:alpha:]",
            ].map { files + $0 })
    }

    @Test func toolsDoWhatTheirsDo() throws {
        try compare([
            "seq 5 | tail -n +2", "seq 5 | tail -n +0", "seq 5 | tail -n +9", "seq 3 > f; tail -n +3 f",
            "echo hello | tr a-z A-Z", "echo hello | tr -d l", "echo aabbcc | tr -s ab", "echo 'a b' | tr ' ' '\\n'",
            "echo abc | tr -c b -", "echo hello | tr '[:lower:]' '[:upper:]'", "echo abc | tr abc x",
            "printf 'a\\r\\n' | tr -d '\\r'", "echo a:b:c | cut -d : -f 2", "echo a:b:c | cut -d: -f1,3",
            "echo a:b:c | cut -d: -f2-", "echo abc | cut -c 1", "echo abcdef | cut -c2-4", "echo abc | cut -d: -f1",
            "echo abc | cut -s -d: -f1", "printf 'a\\tb\\n' | cut -f2", "echo abcdef | cut -c -2,5-",
            "echo a | tee f | cat; cat f", "echo a > f; echo b | tee -a f; cat f",
            "echo a | tee f g > /dev/null; cat f g", "echo a > f; cp f g; cat g",
            "mkdir d; echo a > f; cp f d; cat d/f", "mkdir -p d/e; echo a > d/e/f; cp -r d g; cat g/e/f",
            "cp nosuch x 2> /dev/null; echo $?", "printf 'a\\nb\\nc\\n' | grep -e a -e c",
            "printf 'ab\\nb\\n' | grep -o -e a -e b", "printf 'a\\nb\\n' | grep -c -e a -e b",
            "printf 'a.b\\nacb\\n' | grep -F -e a.b", "printf 'foo1\\nbar\\n' | grep -E 'foo[[:digit:]]|baz'",
            "seq 20 | grep -E '^(1|2)$'",
        ])
    }

    @Test func sedDoesWhatItsDoes() throws {
        try compare([
            "echo hello | sed s/l/L/", "echo hello | sed s/l/L/g", "echo hello | sed 's/l/L/2'",
            "seq 5 | sed -n 2,3p", "seq 5 | sed 2d", "seq 5 | sed '$d'", "seq 5 | sed -n '$p'", "seq 5 | sed 2q",
            "seq 5 | sed '/3/d'", "seq 5 | sed -n '/2/,/4/p'", "seq 5 | sed '2,4!d'",
            "echo abc | sed 's/\\(a\\)\\(b\\)/\\2\\1/'", "echo abc | sed -E 's/(a)(b)/\\2\\1/'",
            "echo a/b | sed 's|/|-|'", "echo abc | sed 's/b/[&]/'", "echo abc | sed y/abc/xyz/",
            "seq 3 | sed -e 1d -e 's/2/two/'", "seq 3 | sed '1d;s/2/two/'", "seq 3 | sed -n =",
            "seq 2 | sed 'a end'", "seq 2 | sed '1i begin'", "seq 3 | sed '2c two'", "echo ABC | sed 's/b/x/I'",
            "printf 'a\\nb' | sed s/a/c/", "seq 10 | sed -n '2,+2p'", "echo aaa | sed 's/a*/x/'",
            "echo baaac | sed 's/a*/x/g'", "echo abc | sed 's/x/y/'", "seq 3 | sed '2,1d'",
            "seq 6 | sed '2,4{p' 2> /dev/null; [ $? -ne 0 ] && echo refused",
            "sed 's/\\(.\\)/\\U\\1/' <<< hi", "sed -E 's/(.)(.*)/\\u\\1\\2!/' <<< hi", "sed 's/.*/\\U&\\E-&/' <<< hi",
            "sed -E 's/([a-z]+)/\\u\\1/g' <<< 'ab cd'", "sed 's/.*/\\L\\u&/' <<< 'ABC'",
            "sed 's/.*/\\u\\L&/' <<< 'ABC'",
            "sed 's/.*/\\l&x/' <<< 'ABC'", "sed -E 's/(x?)(.)/\\u\\1\\2/' <<< 'abc'", "sed 's/b/\\Ux/g' <<< 'abab'",
        ])
    }

    // MARK: What is refused

    /// Nothing of these scripts runs: the first line would write.
    @Test(arguments: [
        ("x[1]=(a b)", "2:1: an array within an array is not known here"),
        ("[[ a -nt b ]]", "2:6: '-nt' is not known here: files have no times"),
        ("if x; then\n  coproc cat\nfi", "3:3: 'coproc' is bash's and not known here; end the command in &"),
    ])
    func whatIsNotKnownIsRefusedBeforeAnythingRuns(_ line: String, _ complaint: String) {
        let outcome = LabShell().run("echo first\n" + line)
        #expect(outcome.output == "")
        #expect(outcome.status == 2)
        #expect(outcome.errorOutput == complaint + "\n")
    }

    /// Each of these ended the process: the tree is walked recursively.
    @Test func whatIsNestedTooDeepIsRefused() {
        func nested(_ open: String, _ close: String, _ count: Int) -> String {
            "echo " + String(repeating: open, count: count) + "1" + String(repeating: close, count: count)
        }
        for text in [
            nested("${x:-", "}", 5000), nested("\"${x:-", "}\"", 5000), nested("${x#", "}", 5000),
            nested("$((", "))", 5000),
            "[[ a" + String(repeating: " && a", count: 5000) + " ]]",
            "[[ a" + String(repeating: " || a", count: 5000) + " ]]",
            "[[ " + String(repeating: "! ", count: 5000) + "a ]]",
            "[[ " + String(repeating: "( ", count: 5000) + "a ]]",
        ] {
            let outcome = LabShell().run(text)
            #expect(outcome.status == 2, "\(text.prefix(40))")
            #expect(outcome.errorOutput.contains("more than") || outcome.errorOutput.contains("nested"))
        }
        #expect(LabShell().run(nested("${x:-", "}", 50)).output == "1\n")
    }

    @Test(.timeLimit(.minutes(5)))
    func patternsTakeNoExponentialTime() {
        let long = String(repeating: "a", count: 2000)
        #expect(LabShell().run("x=\(long); echo ${x//*a*b/}").output == long + "\n")
        #expect(LabShell().run("x=\(long); echo ${x##*a*a*b}").output == long + "\n")
        #expect(LabShell().run("x=\(long); echo ${x//a*/-}").output == "-\n")
    }

    @Test func whatGrowsInALoopEndsWithAMessage() {
        let doubling = LabShell().run("x=a; while true; do x=$x$x; done; echo never")
        #expect(doubling.status == 2)
        #expect(doubling.output == "")
        #expect(doubling.errorOutput.contains("a variable holds at most"))
        let recursion = LabShell().run("f() { f; }; f; echo never")
        #expect(recursion.status == 2)
        #expect(recursion.errorOutput.hasPrefix("nested too deep: ") && recursion.errorOutput.hasSuffix("\n"))
        for body in ["echo $(f)", ": | f", "(f)"] {
            let nested = LabShell().run("f() { \(body); }; f; echo never")
            #expect(nested.errorOutput.contains("nested too deep"), "\(body)")
        }
        let many = LabShell().run("set -- a b; while true; do set -- \"$@\" \"$@\"; done")
        #expect(many.status == 2)
        #expect(many.errorOutput == "more than 100000 arguments\n")
        let edits = String(repeating: "s/a*/&&/;", count: 60)
        let sed = LabShell().run("echo aaaa | sed '\(edits)'")
        #expect(sed.status != 0 && sed.output == "")
        #expect(sed.errorOutput == "sed: line 1: it would grow beyond 16.0 MiB\n")
        #expect(LabShell().run("echo a | sed 's/a/bb/'").output == "bb\n")
    }
}
