import Testing

/// Where SDL is a POSIX shell, bash says what is right: the same text goes through both, and both must write the same
/// and end with the same status.
///
/// Not compared, because SDL differs on purpose: variables without a value (an error here), `&` inside words, `->`,
/// `{A,B}|{C}`, assignments inside pipelines (one scope here), and `ls`, which marks directories.
@Suite(.enabled(if: HostTools.hasBash))
struct BashComparison {
    static func compare(_ scripts: [String], locale: String = "C") throws {
        let expected = try HostTools.bash(scripts, locale: locale)
        for (script, bash) in zip(scripts, expected) {
            let lab = LabShell().run(script)
            #expect(
                lab.output == bash.output && lab.status == bash.status,
                """
                \(script)
                --- bash: \(bash.status) \(bash.output.debugDescription)
                --- here: \(lab.status.map(String.init) ?? "none") \(lab.output.debugDescription) \(lab.errorOutput)
                """)
        }
    }

    @Test func wordsQuotesAndEscapesAreThoseOfAShell() throws {
        try Self.compare([
            #"echo a b   c"#, #"echo 'a b'   "c  d""#, #"echo a\ b"#, #"echo "a\"b" 'a"b' "it's""#, #"echo 'a'"b"c"#,
            #"echo "$""#, #"echo $"#, #"echo a$"#, #"echo "a$ b""#, #"echo \$x \\ \a \; \| \>"#, #"echo "\a\b\$\\""#,
            #"echo '\a\n\\'"#, #"echo """#, #"echo '' "" x"#, #"echo ''''a"#, #"printf '<%s>' '' "" a ''b"#,
            #"printf '<%s>' a"b c"d"#, #"echo "a;b" 'c|d' "e>f" 'g&h'"#, #"echo a#b #c"#, #"echo a # b"#,
            #"# only a comment"#,
            #"echo a;#c"#, ##"echo "#a" '#b' \#c"##, "echo a\\\nb", "echo a \\\n b", "echo \"a\\\nb\"",
            "echo 'a\\\nb'", "echo 'a\nb'",
            "echo \"a\n\nb\"", "echo a;echo b", "echo a ;echo b;", "\n\n echo a\n\n\necho b\n\n", "echo a\t\tb",
            #"echo "  a  ""#,
            #"echo {"#, #"echo }"#, #"echo a{b"#, #"echo { }"#, #"echo {}"#, #"echo {a}"#, #"echo =a a= =="#,
            #"echo x=1"#,
            #"echo !"#, #"echo a!b"#, #"echo ~x"#, #"echo %d %%"#, #"echo a^b a@b a+b a,b a:b a/b"#, #"echo a=b=c"#,
            #"echo "\"""#, #"echo "'""#, #"echo '"'"#, #"echo \' \""#, #"echo "a"'b'\c"#,
            #"echo done if then fi in for"#,
            #"echo "\\""#, #"echo "\\\\""#, #"echo '\'"#, #"echo \\\\"#, #"echo -n a; echo b"#, #"echo -e 'a\tb\nc'"#,
            #"echo - -- -x"#, #"echo -n"#, #"echo -nn a"#, #"echo -ne 'a\n'"#, #"echo -E 'a\nb'"#, #"echo " # no""#,
            #"echo é ü 漢字 🙂"#, #"printf '%s\n' "é" '漢'"#, #"echo a]b [ ] []"#, #"echo "$(echo "a b")""#,
            #"echo 1 2>&1"#,
            #"'echo' a; "echo" b; \echo c; e'ch'o d"#, #"echo 'if'; echo "done""#,
        ])
    }

    @Test func variablesAndSplittingAreThoseOfAShell() throws {
        try Self.compare([
            "x=1; echo $x", "x=1;y=2;echo $x$y", "x=a; echo ${x}b", "x=a; echo \"${x}b $x\"", "x='a b'; echo $x",
            "x='a  b'; echo \"$x\"",
            "x='a  b'; printf '<%s>' $x", "x=' a '; printf '<%s>' $x", "x=' a '; printf '<%s>' b$x",
            "x=' a '; printf '<%s>' $x\"b\"",
            "x=' '; printf '<%s>' $x\"\"", "x=''; printf '<%s>' $x", "x=''; printf '<%s>' \"$x\"",
            "x=''; printf '<%s>' a $x b",
            "x=; printf '<%s>' \"$x\"", "x=''; printf '<%s>' $x$x\"$x\"", "x='a b'; y=$x; echo \"$y\"",
            "x=1; x=$x$x; echo $x",
            "x='*'; echo \"$x\"", "x='a\tb'; printf '<%s>' $x", "x='a\nb'; printf '<%s>' $x", "x='a\nb'; echo \"$x\"",
            "x='$y'; echo $x", "x='\"a'; echo $x", "x=\"a'b\"; echo $x", "a_1=x; echo $a_1", "_=1; a=b; echo $a-$a",
            "x=1; echo $x.txt",
            "x=1; echo '$x' \\$x", "x=a; echo \"$x\"'$x'$x", "x=1; echo $x/$x:$x", "true; echo $?", "false; echo $?",
            "false; echo $?$?",
            "false; true; echo $?", "echo \"$?\"", "false; x=$?; echo $x", "x=a=b; echo $x",
            "x='a b' ; y=\"$x c\"; printf '<%s>' \"$y\" $y",
            "x=2; x=3; echo $x", "X=1; x=2; echo $X$x", "x=$(echo a; echo b); echo \"$x\"",
            "x=$(echo a; echo b); echo $x", "x=1 ; echo \"a${x}b${x}c\"",
            "x={a,b}; echo $x", "x=*; echo \"$x\"", "x=a\\ b; echo \"$x\"", "x='{a,b}'; echo $x", "x='a;b'; echo $x",
            "x='a|b>c'; echo $x",
            "x=-n; echo $x a",
            "x=5; y=x; echo $y", "x='#'; echo $x a",
        ])
    }

    @Test func substitutionsAreThoseOfAShell() throws {
        try Self.compare([
            "echo $(echo a)", "echo $(echo a b)", "printf '<%s>' $(echo a b)", "printf '<%s>' \"$(echo a b)\"",
            "echo $(echo $(echo a))",
            "echo \"$(echo \"$(echo \"a  b\")\")\"", "echo a$(echo b)c", "echo $(echo a)$(echo b)",
            "x=$(echo a); echo $x", "echo $(true)x",
            "printf '<%s>' $(true)", "printf '<%s>' \"$(true)\"", "echo \"$(printf 'a\\n\\n\\n')\"b",
            "echo $(printf 'a\\n\\nb\\n')", "x=$(false); echo $?",
            "x=$(true); echo $?", "echo $(false); echo $?", "false; echo $(echo $?)", "echo $(echo a; echo b)",
            "echo $(echo a | cat)", "echo $(for i in 1 2; do echo $i; done)",
            "echo $(if true; then echo y; fi)", "echo $(seq 3)", "for i in $(seq 3); do echo $i; done",
            "for i in $(echo a b) c; do echo $i; done",
            "echo $( echo a )", "echo $(echo ')')", "echo $(echo \")\")", "echo $(echo a\\))",
            "x=$(echo 'a b'); printf '<%s>' $x", "echo \"a $(echo b) c\"",
            "echo '$(echo a)'", "echo $(echo '$(echo a)')", "echo $(echo a # c\n)", "x=1; echo $(echo $x)",
            "echo $(echo a >f; cat f)",
            "echo $(echo a && echo b || echo c)", "x=$(echo '*'); echo \"$x\"",
            "echo $(echo -n a)b", "seq 3 | wc -l; x=$(seq 3 | wc -l); echo $x",
            "echo $(echo $(echo $(echo $(echo deep))))",
            "false; x=a; echo $?", "x=$(false)y; echo $? $x", "x=$(false) y=$(true); echo $?",
            "false || x=$(echo b); echo $x",
        ])
    }

    @Test func bracesExpandAsInBash() throws {
        try Self.compare([
            "echo {a,b}", "echo a{b,c}d", "echo {a,b}{c,d}", "echo {1..5}", "echo {5..1}", "echo {a..e}",
            "echo {e..a}", "echo {01..10}", "echo {1..010}",
            "echo {1..10..3}", "echo {10..1..3}", "echo {10..1..-3}", "echo {1..10..-3}", "echo {-3..3}",
            "echo {3..-3}", "echo {-05..05..5}", "echo {a..i..3}",
            "echo {i..a..2}", "echo {a,b,c}", "echo {a,{b,c}}", "echo {a,b{1,2}}", "echo {{a,b},c}",
            "echo {a,b}{1..3}", "echo x{1..3}y{a,b}z", "echo {a,}",
            "echo x{a,}y", "echo x{,a}y", "echo x{,}y", "printf '<%s>' x{a,,b}y", "echo {a,b", "echo a,b}",
            "echo {a{b,c}", "echo {a,b}}", "echo {{a,b}",
            "echo \"{a,b}\"", "echo '{a,b}'", "echo \\{a,b}", "echo {a\\,b}", "echo {a,'b c'}",
            "printf '<%s>' {a,'b c'}", "printf '<%s>' {\"a,b\",c}", "echo {1..3}.txt",
            "echo {a..3}", "echo {1..a}", "echo {1..}", "echo {..1}", "echo {1...3}", "echo {1.3}", "echo {1,2}{,x}",
            "echo {A..C}", "echo {1..1}", "echo {a..a}",
            "echo {0..0}", "echo {00..2}", "echo {1..3..0}", "echo {a,b}$(echo c)", "x=1; echo {$x,2}",
            "x=1; echo {$x..3}", "echo {a,b}{c,d}{e,f}", "echo a{1..3}b{1..2}",
            "for i in {1..3}; do echo $i; done", "for i in {a,b} c; do echo $i; done",
            "echo http://x/{a,b}?q={1..2}", "echo {a,b,{c,d},e}", "echo pre{x{1,2},y}post",
            "echo {}{a,b}", "echo {a,b}{}", "echo a{}b", "echo {9..11}", "echo {009..11}", "echo {-1..-10..4}",
            "echo {a,b}/{c,d}",
            "echo {1..3}{1..3}", "echo {100..97}", "echo {-01..1}", "echo {1..2}{a..b}{x,y}", "printf '<%s>' {a,}",
            "printf '<%s>' {,a}", "printf '<%s>' {,}",
        ])
    }

    @Test func listsLoopsAndConditionsAreThoseOfAShell() throws {
        try Self.compare([
            "true && echo a", "false && echo a", "false || echo a", "true || echo a", "true && false || echo a",
            "false && echo a || echo b", "false || false || echo c",
            "true && true && echo d", "false || true && echo e", "true || echo x && echo f", "true &&\necho a",
            "false ||\n\necho a", "false && false; echo $?", "true && false; echo $?",
            "for i in 1 2 3; do echo $i; done", "for i in; do echo $i; done; echo $?",
            "for i in a\ndo\necho $i\ndone", "for i in a b; do for j in 1 2; do echo $i$j; done; done",
            "for i in 1 2 3; do if [ $i = 2 ]; then continue; fi; echo $i; done",
            "for i in 1 2 3; do if [ $i = 2 ]; then break; fi; echo $i; done; echo $?",
            "for i in a; do echo $i; done; echo $i", "for i in 1; do false; done; echo $?",
            "for i in 1 2; do [ $i = 1 ]; done; echo $?", "i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); done",
            "i=0; until [ $i -ge 3 ]; do echo $i; i=$((i+1)); done", "while false; do echo x; done; echo $?",
            "until true; do echo x; done; echo $?", "i=0; while [ $i -lt 1 ]; do i=1; false; done; echo $?",
            "i=0; while true; do i=$((i+1)); if [ $i -eq 4 ]; then break; fi; done; echo $i",
            "if true; then echo a; fi", "if false; then echo a; fi; echo $?",
            "if false; then echo a; else echo b; fi",
            "if false; then echo a; elif true; then echo b; else echo c; fi",
            "if false; then echo a; elif false; then echo b; else echo c; fi",
            "if false\nthen echo a\nelif false\nthen echo b\nfi\necho $?",
            "if true; then false; fi; echo $?", "if [ 1 = 1 ] && [ 2 = 2 ]; then echo y; fi",
            "if false || true; then echo y; fi", "if true; then if false; then echo a; else echo b; fi; fi",
            "for i in 1 2; do echo $i; done | cat", "for i in 3 1 2; do echo $i; done | sort",
            "i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); done | wc -l", "if true; then echo a; fi | cat",
            "for i in 1 2; do echo $i; done && echo ok", "for i in 1; do false; done || echo no",
            "false; for i in 1; do echo $?; done", "false; if true; then echo $?; fi",
            "false; while [ $? = 1 ]; do echo once; done", "for i in 1 2 3\ndo\n  echo $i # c\n  # d\ndone # e",
            "for i in 'a b' c; do echo \"$i\"; done", "x='a b'; for i in $x; do echo $i; done",
            "x='a b'; for i in \"$x\"; do echo $i; done",
            "for i in 1 2 3; do for j in 1 2 3; do if [ $j = 2 ]; then break; fi; echo $i$j; done; done",
            "for i in 1 2; do for j in 1 2; do break 2; done; echo no; done; echo end",
            "for i in 1 2; do for j in 1 2; do echo $i$j; continue 2; done; echo no; done",
            "for i in a;do echo $i;done",
            "if true;then echo a;else echo b;fi", "for do in a; do echo $do; done",
            "for i in do done; do echo $i; done", "true; echo a || echo b; echo c",
            "for i in $(seq 20); do [ $((i%3)) = 0 ] && echo $i; done; echo $?",
            "i=3; while [ $i -gt 0 ]; do i=$((i-1)); [ $i = 1 ] && continue; echo $i; done",
            "for i in 1 2 3; do test $i = 2 && break; done; echo $i", "if [ -z '' ]; then echo empty; fi",
        ])
    }

    @Test func pipesAndRedirectionsAreThoseOfAShell() throws {
        try Self.compare([
            "echo a | cat", "echo a | cat | cat | cat", "seq 5 | head -n 2", "seq 5 | head -c 3", "seq 5 | head -c 4",
            "printf abc | head -c 9", "printf 'a\\n' | head -c 0", "seq 3 > f; seq 4 > g; head -c 3 f g",
            "seq 5 | tail -n 2", "seq 3 | sort -r",
            "true | false; echo $?", "false | true; echo $?", "echo a |\ncat", "echo a|cat",
            "echo a | cat && echo b", "false | cat || echo b", "echo a > f; cat f", "echo a > f; echo b > f; cat f",
            "echo a > f; echo b >> f; cat f", "echo a >f; cat <f", "cat < f", "echo a >> f; cat f",
            "> f; cat f; echo $?", "echo a > 'f g'; cat 'f g'", "x=f; echo a > $x; cat f", "echo a > f 2>&1; cat f",
            "nosuchcommand 2> f; echo $?", "nosuchcommand > f 2>&1; echo $?; wc -l < f",
            "nosuchcommand 2>&1 | wc -l", "echo a >&2", "echo a >&2 2> f; cat f", "echo a 2>&1 | cat",
            "echo a > f; cat f f", "cat f1 2> e; echo $?", "echo a > f | cat; cat f", "echo b | cat - > f; cat f",
            "echo a > f; cat < f | wc -l", "> f echo a; cat f", "echo > f a; cat f", "echo a > f b; cat f",
            "< f cat", "echo x > f; < f cat", "echo a > d/f; echo $?", "cat nosuch; echo $?",
            "cat nosuch && echo y || echo n",
            "cat <<E\na\nb\nE", "cat <<E | sort\nb\na\nE", "x=1; cat <<E\n$x ${x} $(echo c) \\$x\nE",
            "x=1; cat <<'E'\n$x $(echo c) \\$x\nE", "cat <<\"E\"\n$x\nE", "cat <<\\E\n$x\nE",
            "cat <<-E\n\ta\n\t\tb\n\tE",
            "cat <<E\nE", "cat <<E\n\nE", "cat <<E > f\na\nE\ncat f", "cat <<A; cat <<B\n1\nA\n2\nB",
            "cat <<A <<B\n1\nA\n2\nB", "cat <<E\n\\\\ \\a \\\" \" \' $ \\$\nE", "cat <<E\na\\\nb\nE",
            "cat <<E && echo z\na\nE",
            "for i in 1 2; do cat <<E\n$i\nE\ndone", "if true; then cat <<E\ny\nE\nfi", "cat <<E\n  E\nE",
            "cat <<E\n{a,b} * ~ #c\nE", "cat <<'A B'\nx\nA B", "cat <<E;\na\nE\necho b", "cat - <<E\nq\nE",
            "cat <<E\n$((1+2))\nE",
            "x='a  b'; cat <<E\n$x\n\"$x\"\nE", "grep b <<E\nabc\nxyz\nE", "echo 'a' >f; cat f - <<E\nb\nE",
            "echo a>f;cat f", "echo a 1>f; cat f", "echo a 1>&2", "echo 2>f; cat f", "echo a2>f; cat f",
            "seq 3 > f; sort -r f > g; cat g",
            "seq 1000 | head -n 1", "seq 100000 | tail -n 1", "seq 100000 | wc -l", "seq 10 | grep 1 | wc -l",
            "echo a | cat > f; cat f", "false > f; echo $?; ls", "echo a > f; x=$(cat f); echo $x",
            "cat < nosuch; echo $?", "echo b > f; cat nosuch f; echo $?",
            "echo a > a1; echo b > a2; cat a*", "true > a; true > b; ls", "mkdir d; true > d/x; ls d",
            "mkdir d; cd d; true > x; ls; cd ..; ls d", "mkdir -p a/b/c; echo a/b/*",
            "echo a > f; rm f; cat f; echo $?", "mkdir d; echo a > d/f; cat d/f; rm -r d; ls",
            "echo c | sort - <<E\nb\na\nE", "printf 'a\\nb' | cat", "printf 'a\\nb' > f; wc -l < f",
            "echo a | grep b; echo $?", "echo a | grep -q a; echo $?",
            "echo 'x y' | wc -w", "for i in 1 2; do echo $i > f; done; cat f",
            "for i in 1 2; do echo $i >> f; done; cat f", "for f in a b; do echo $f > $f; done; cat a b",
            "if true; then echo a > f; fi; cat f",
        ])
    }

    @Test func fileNamePatternsAreThoseOfAShell() throws {
        let files =
            "true > a; true > b; true > ab; true > abc; true > a.txt; true > b.txt; true > .hid; true "
            + "> 'x y'; mkdir d; true > d/a; true > d/b; true > d/.h; mkdir d/e; true > d/e/z; "
        try Self.compare(
            [
                "echo *", "echo a*", "echo *b", "echo ?", "echo ??", "echo [ab]", "echo [a-b]", "echo [!a]",
                "echo [^a]",
                "echo *.txt", "echo *.nosuch", "echo 'a*'", "echo \"*\"", "echo \\*", "echo a'*'", "echo .*h*",
                "echo .h*", "echo */a",
                "echo d/*", "echo d/?", "echo */*", "echo */*/*", "echo d/[ab]", "printf '<%s>' x*",
                "for f in *.txt; do echo $f; done", "x='*.txt'; echo $x", "x='*.txt'; echo \"$x\"", "echo {a,b}*",
                "echo a[", "echo [", "echo ]", "echo [a", "echo []",
                "echo []a]", "echo [!]a]*", "echo a*c", "echo *a*b*c*", "echo **", "echo ?*", "echo [a-]*",
                "echo [b-a]*", "echo [[]", "ls *.txt", "cat *.txt", "rm *.txt; echo *", "echo nosuch/*",
                "echo /nosuch/*", "echo ./a*", "echo d/../a*", "echo [a]*",
                "echo [ab].txt", "echo *.*", "cd d; echo *", "cd d; echo ../a*", "x=a; echo $x*", "x=a; echo \"$x\"*",
                "echo $(echo '*.txt')", "echo \"$(echo '*.txt')\"", "echo d/.*h", "echo *[b]", "echo [!a-b]*",
                "echo ??.txt ?.txt",
                "echo */", "echo d*/", "echo http://x/y?z=1", "echo [.]h*", "echo [a\"b\"]", "echo '['a]",
                "echo \"[a]\"", "cat <<E\n*\nE", "x=*; echo $x", "for i in [ab]; do echo $i; done",
            ].map { files + $0 })
    }

    @Test func loopsAndConditionsAreRedirectedAsAWhole() throws {
        try Self.compare([
            "for i in 1 2; do echo $i; done > f; echo out; cat f", "for i in 1 2; do echo $i; done >> f; cat f",
            "echo 0 > f; for i in 1 2; do echo $i; done >> f; cat f", "if true; then echo a; fi > f; cat f",
            "i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); done > f; echo $i; cat f",
            "until false; do echo a; break; done > f; cat f; echo $?",
            "for i in 1 2 3; do if [ $i = 2 ]; then break; fi > g; echo $i; done > f; echo after; cat f",
            "for i in 1 2; do for j in a b; do echo $i$j; continue 2; done > g; done > f; cat f g",
            "for i in 1 2; do for j in a b; do echo $i$j; break 2; done > g; done > f; echo x; cat f g",
            "for i in 1; do nosuch; done 2> f; echo $?; grep -c nosuch f",
            "for i in 1; do nosuch; echo a; done > f 2>&1; grep -c . f", "for i in a b; do cat; done < /dev/null",
            "echo in > f; for i in 1; do cat; done < f",
            "echo in > f; for i in 1 2; do cat; echo $i; done < f", "echo in | for i in 1 2; do cat; echo $i; done",
            "seq 100000 | for i in 1; do head -n 1; done", "seq 3 | for i in 1 2; do cat | cat; done",
            "seq 1000000000 | cat | for i in 1; do head -n 1; done", "seq 300000 | cat | cat | wc -l",
            "echo a > /dev/null; echo b >> /dev/null; cat /dev/null; nosuch 2> /dev/null; echo $?",
            "for i in 1; do cat; done <<E\nhere\nE",
            "for i in 3 1 2; do echo $i; done | sort > f; cat f", "for i in 1; do echo a; done > f > g; cat f g",
            "x=f; for i in 1; do echo a; done > $x; cat f", "for i in 1; do echo a; done > $(echo f); cat f",
            "for i in 1; do echo a > g; echo b; done > f; cat g f", "if false; then echo a; fi > f; echo $?; cat f",
            "x=1; for i in 1; do x=2; done > f; echo $x", "for i in a b; do echo $i & wait; done > f; cat f",
        ])
    }

    @Test func anExclamationMarkTurnsAStatusRound() throws {
        try Self.compare([
            "! true; echo $?", "! false; echo $?", "! true || echo a", "! false && echo a",
            "if ! false; then echo a; fi",
            "! echo a | grep -q b && echo none", "i=0; while ! [ $i = 3 ]; do i=$((i+1)); done; echo $i",
            "! nosuch 2> f; echo $?", "true && ! false && echo a", "! ! true; echo $?",
        ])
    }

    @Test func arithmeticIsThatOfAShell() throws {
        try Self.compare([
            "echo $((1+2))", "echo $((2*3+4))", "echo $((2+3*4))", "echo $(((2+3)*4))", "echo $((10/3)) $((10%3))",
            "echo $((-10/3)) $((-10%3))", "echo $((10/-3)) $((10%-3))",
            "echo $((1<2)) $((2<1)) $((1<=1)) $((2>=3)) $((1==1)) $((1!=1)) $((3>2))",
            "x=5; echo $((x+1)) $(($x+1))", "x=5; x=$((x*x)); echo $x", "echo $((nosuch+1))", "x=; echo $((x+1))",
            "echo $(( 1 + 2 ))", "echo $((1))", "echo $((-5))", "echo $((- 5))", "echo $((5-3-1))",
            "echo $((100/10/5))", "echo $((2*(3+(4-1))))", "echo $(((1+2)*(3+4)))",
            "echo $((1+2))$((3+4))", "echo a$((1+2))b", "echo \"$((1+2))\"", "echo '$((1+2))'",
            "echo $((1 == 2 < 3)) $((2 == 1 < 3)) $((1 < 2 == 1)) $((3 > 2 != 1))",
            "echo $((9223372036854775807+1))", "echo $((-9223372036854775808)) $((- 9223372036854775808 + 1))",
            "echo $((9223372036854775807*2))", "echo $((0-9223372036854775807-1))",
            "x=3; y=4; echo $((x*x+y*y))", "i=0; for j in 1 2 3; do i=$((i+j)); done; echo $i", "echo $((7-2*3))",
            "echo $((((((1))))))", "echo $((1+\n2))", "[ $((3%2)) = 1 ] && echo odd", "echo $((+5))",
            "echo $((5 - -3))", "echo $((2-(-3)))", "x=-4; echo $((x/2)) $((x*-1)) $((-x))",
            "echo $((1>0)) $((1>=0))", "echo $((0==0==1))", "echo $((10-2+3))", "echo $((4*3/2*5%7))",
            "x=7; echo $((x%4*2))", "a=1; b=2; echo $((a+b))$((a-b))", "echo $((1 - 1)) > f; cat f",
            "echo $((3-1))-$((1-3))", "x=1; x=$((x+1)); x=$((x+1)); echo $x",
        ])
    }

    @Test func testAndItsBracketDecideAsInAShell() throws {
        let files = "echo a > f; true > empty; mkdir d; "
        try Self.compare(
            [
                "[ a ]", "[ '' ]", "[ ]", "test", "test a", "[ -n a ]", "[ -n '' ]", "[ -z a ]", "[ -z '' ]",
                "[ a = a ]", "[ a = b ]", "[ a != b ]", "[ a == a ]", "[ 1 -eq 1 ]", "[ 1 -ne 1 ]", "[ 1 -lt 2 ]",
                "[ 2 -le 2 ]", "[ 3 -gt 2 ]", "[ 2 -ge 3 ]", "[ -5 -lt 3 ]",
                "[ 010 -eq 10 ]", "[ -e f ]", "[ -e nosuch ]", "[ -f f ]", "[ -f d ]", "[ -d d ]", "[ -d f ]",
                "[ -s f ]", "[ -s empty ]", "[ -s nosuch ]", "[ ! -e f ]", "[ ! a = b ]", "[ ! a ]", "[ ! '' ]",
                "[ ! ! a ]", "[ -n ]", "[ -z ]", "[ = ]", "[ ! ]", "[ '!' = '!' ]", "[ '!' = x ]",
                "test 1 -eq 1", "test -f f", "test a = b || echo no", "[ a = a", "[ -q f ]", "[ a b ]", "[ a -xx b ]",
                "[ a = b c ]", "x='a b'; [ \"$x\" = 'a b' ]", "[ -e d/nosuch ]", "[ -e . ]", "[ -d / ]", "[ -f / ]",
                "[ 00 -eq 0 ]", "[ -n -n ]", "[ -z -z ]", "[ ! = ! ]",
                "[ '(' = '(' ]", "[ a = '' ]", "[ '' = '' ]", "[ '' != a ]",
            ].map { files + $0 + "; echo $?" })
    }

    @Test func printfFormatsAsInBash() throws {
        try Self.compare([
            #"printf 'a\n'"#, #"printf a"#, #"printf '%s\n' a b c"#, #"printf '%s-%s\n' a b c"#,
            #"printf '%d\n' 5 -5 +5"#, #"printf '%5d|%-5d|%05d\n' 42 42 42"#,
            #"printf '%5s|%-5s|%.2s\n' abc abc abc"#, #"printf '%x %X %o\n' 255 255 255"#, #"printf '%x\n' -1"#,
            #"printf '%%\n'"#, #"printf '%c%c\n' abc d"#,
            #"printf '%.2f %8.3f %-8.1f|\n' 3.14159 2.5 1"#, #"printf '%f\n' 1"#, #"printf '%+d %+d\n' 5 -5"#,
            #"printf '% d\n' 5"#, #"printf '%b\n' 'a\tb'"#, #"printf '%s\n' 'a\tb'"#, #"printf '\t\\ \101\n'"#,
            #"printf '%s\n'"#, #"printf '%d\n'"#, #"printf '%s %d\n' a 1 b 2"#, #"printf '%3d\n' 1 22 333 4444"#,
            #"printf '%i\n' 12"#, #"printf '%u\n' 12"#, #"printf '%05d\n' -42"#, #"printf '%-05d|\n' 42"#,
            #"printf '%d\n' 0x1f"#, #"printf '%d\n' 010"#, #"printf '%.3d\n' 5"#, #"printf '%6.3d|\n' 5"#,
            #"printf '%s'"#, #"printf '' a b"#, #"printf 'x\n' a b"#, #"printf '%s\n' ''"#,
            #"printf '%#x %#o\n' 255 8"#, #"printf '%10.2f|\n' -1.005"#, #"printf '%010.2f|\n' -1.5"#,
            #"printf '%s%%\n' 50"#, #"printf '%.10s|%10.3s|\n' abc abcdef"#, #"printf '%b' 'a\n' 'b\n'"#,
            #"printf '\a\b\f\v\r\n'"#, #"printf '%X\n' 3735928559"#,
            #"printf '%s\n' "it's" '"q"'"#, #"printf '%d' 9223372036854775807"#, #"printf '%-10s%s\n' a b"#,
        ])
    }
}
