/// What Prometheus 2.42 says of expressions, and how it formats them: queries of our own, and its answers to them
/// (`/api/v1/query`, `/api/v1/format_query`). A query is followed by its answer, indented; `⏎` ends a line.
enum PrometheusTexts {
    static let errors = #"""
        (
            1:2: parse error: unclosed left parenthesis
        )
            1:2: parse error: unexpected right parenthesis ')'
        foo)
            1:5: parse error: unexpected right parenthesis ')'
        foo bar
            1:5: parse error: unexpected identifier "bar"
        1 1
            1:3: parse error: unexpected number "1"
        1 +
            1:4: parse error: unexpected end of input
        *
            1:1: parse error: unexpected <op:*>
        1 ** 2
            1:4: parse error: unexpected <op:*>
        a > bool
            1:9: parse error: unexpected end of input
        1 > 2
            1:3: parse error: comparisons between scalars must use BOOL modifier
        foo[5]
            1:5: parse error: missing unit character in duration
        foo[5m
            1:7: parse error: unclosed left bracket
        foo[5mm]
            1:5: parse error: bad duration syntax: "5mm"
        foo[5m1h]
            1:5: parse error: not a valid duration string: "5m1h"
        foo[0m]
            1:5: parse error: duration must be greater than 0
        foo[]
            1:5: parse error: missing unit character in duration
        foo[5m:1m
            1:10: parse error: unclosed left bracket
        foo[5m:1]
            1:8: parse error: unexpected number "1" in subquery selector, expected duration or "]"
        foo[:1m]
            1:5: parse error: missing unit character in duration
        foo[5m:1m:]
            1:10: parse error: unexpected colon ':'
        foo[5m] offset
            1:15: parse error: unexpected end of input in offset, expected duration
        foo offset
            1:11: parse error: unexpected end of input in offset, expected duration
        foo offset 5
            1:12: parse error: unexpected number "5" in offset, expected duration
        foo offset 5m offset 3m
            1:1: parse error: offset may not be set multiple times
        foo offset 5m [3m]
            1:15: parse error: no offset modifiers allowed before range
        foo @
            1:6: parse error: unexpected end of input in @, expected timestamp
        foo @ a
            1:7: parse error: unexpected identifier "a" in @, expected timestamp
        foo @ 5 @ 6
            1:1: parse error: @ <timestamp> may not be set multiple times
        foo @ Inf
            1:1: parse error: timestamp out of bounds for @ modifier: +Inf
        foo @ start
            1:12: parse error: unexpected end of input in @, expected timestamp
        foo @ start(
            1:13: parse error: unclosed left parenthesis
        (foo + bar)[5m]
            1:12: parse error: ranges only allowed for vector selectors
        (foo + bar) offset 5m
            1:1: parse error: offset modifier must be preceded by an instant vector selector or range \#
        vector selector or a subquery
        (foo + bar) @ 5
            1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector \#
        selector or a subquery
        sum(
            1:5: parse error: unclosed left parenthesis
        sum()
            1:1: parse error: no arguments for aggregate expression provided
        sum(foo, bar)
            1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2
        sum(1)
            1:5: parse error: expected type instant vector in aggregation expression, got scalar
        sum(foo[5m])
            1:5: parse error: expected type instant vector in aggregation expression, got range vector
        sum by foo (bar)
            1:8: parse error: unexpected identifier "foo" in grouping opts, expected "("
        sum by (foo (bar)
            1:13: parse error: unexpected "(" in grouping opts, expected "," or ")"
        sum by (1) (foo)
            1:9: parse error: unexpected number "1" in grouping opts, expected label
        sum by (foo:bar) (foo)
            1:9: parse error: unexpected metric identifier "foo:bar" in grouping opts, expected label
        sum(foo) by
            1:12: parse error: unexpected end of input in grouping opts, expected "("
        topk(foo)
            1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1
        topk("a", foo)
            1:6: parse error: expected type scalar in aggregation parameter, got string
        count_values(1, foo)
            1:14: parse error: expected type string in aggregation parameter, got scalar
        rate(foo)
            1:6: parse error: expected type range vector in call to function "rate", got instant vector
        rate(foo[5m], 3)
            1:1: parse error: expected 1 argument(s) in call to "rate", got 2
        rate()
            1:1: parse error: expected 1 argument(s) in call to "rate", got 0
        rate(foo[5m],)
            1:13: parse error: trailing commas not allowed in function call args
        nosuch(foo)
            1:1: parse error: unknown function with name "nosuch"
        round(foo, 1, 2)
            1:1: parse error: expected at most 2 argument(s) in call to "round", got 3
        round()
            1:1: parse error: expected at least 1 argument(s) in call to "round", got 0
        label_join(foo)
            1:1: parse error: expected at least 3 argument(s) in call to "label_join", got 1
        label_join(foo, "a", 1)
            1:22: parse error: expected type string in call to function "label_join", got scalar
        label_replace(foo, "a")
            1:1: parse error: expected 5 argument(s) in call to "label_replace", got 2
        pi(1)
            1:1: parse error: expected 0 argument(s) in call to "pi", got 1
        vector(foo)
            1:8: parse error: expected type scalar in call to function "vector", got instant vector
        scalar(1)
            1:8: parse error: expected type instant vector in call to function "scalar", got scalar
        time(1)
            1:1: parse error: expected 0 argument(s) in call to "time", got 1
        {}
            1:1: parse error: vector selector must contain at least one non-empty matcher
        {foo=""}
            1:1: parse error: vector selector must contain at least one non-empty matcher
        {foo=~".*"}
            1:1: parse error: vector selector must contain at least one non-empty matcher
        foo{a}
            1:6: parse error: unexpected "}" in label matching, expected label matching operator
        foo{a=}
            1:7: parse error: unexpected "}" in label matching, expected string
        foo{a="b"
            1:10: parse error: unexpected end of input inside braces
        foo{a="b" c="d"}
            1:11: parse error: unexpected identifier "c" in label matching, expected "," or "}"
        foo{,}
            1:5: parse error: unexpected "," in label matching, expected identifier or "}"
        foo{a=b}
            1:7: parse error: unexpected identifier "b" in label matching, expected string
        foo{=~"a"}
            1:5: parse error: unexpected <op:=~> in label matching, expected identifier or "}"
        foo{1="a"}
            1:5: parse error: unexpected character inside braces: '1'
        foo{a=="b"}
            1:7: parse error: unexpected "=" in label matching, expected string
        foo{a=!"b"}
            1:7: parse error: unexpected character after '!' inside braces: '"'
        foo{a!b}
            1:6: parse error: unexpected character after '!' inside braces: 'b'
        foo{a~"b"}
            1:6: parse error: unexpected character inside braces: '~'
        foo{__name__="bar"}
            1:1: parse error: metric name must not be set twice: "foo" or "bar"
        foo{a="b"}}
            1:11: parse error: unexpected character: '}'
        foo{{a="b"}
            1:5: parse error: unexpected left brace '{'
        "foo
            1:1: parse error: unterminated quoted string
        'foo
            1:1: parse error: unterminated quoted string
        `foo
            1:1: parse error: unterminated raw string
        "fo\o"
            1:1: parse error: unknown escape sequence U+006F 'o'
        "\x4"
            1:1: parse error: illegal character U+0022 '"' in escape sequence
        "\xzz"
            1:1: parse error: illegal character U+007A 'z' in escape sequence
        "\uD800"
            1:1: parse error: escape sequence is an invalid Unicode code point
        "a" + 1
            1:1: parse error: binary expression must contain only scalar and instant vector types
        "a" and b
            1:1: parse error: binary expression must contain only scalar and instant vector types
        1 and 2
            1:1: parse error: set operator "and" not allowed in binary scalar expression
        1 and foo
            1:1: parse error: set operator "and" not allowed in binary scalar expression
        foo and on(a) group_left bar
            1:1: parse error: no grouping allowed for "and" operation
        foo + on(a) group_left(a) bar
            1:5: parse error: label "a" must not occur in ON and GROUP clause at once
        foo + on a bar
            1:10: parse error: unexpected identifier "a" in grouping opts, expected "("
        foo + group_left bar
            1:7: parse error: unexpected <group_left>
        foo + on(a) 1
            1:1: parse error: vector matching only allowed between instant vectors
        foo + bool bar
            1:5: parse error: bool modifier can only be used on comparison operators
        -"a"
            1:1: parse error: unary expression only allowed on expressions of type scalar or instant \#
        vector, got "string"
        -foo[5m]
            1:1: parse error: unary expression only allowed on expressions of type scalar or instant \#
        vector, got "range vector"
        +foo[5m]
            1:1: parse error: unary expression only allowed on expressions of type scalar or instant \#
        vector, got "range vector"
        foo[5m] + 1
            1:1: parse error: binary expression must contain only scalar and instant vector types
        foo[5m][5m]
            1:8: parse error: ranges only allowed for vector selectors
        foo[5m:1m][5m]
            1:11: parse error: ranges only allowed for vector selectors
        rate(foo[5m:1m:1m])
            1:15: parse error: unexpected colon ':'
        (1)[5m:]
            1:1: parse error: subquery is only allowed on instant vector, got scalar instead
        "a"[5m:]
            1:1: parse error: subquery is only allowed on instant vector, got string instead
        0x
            1:1: parse error: error parsing number: strconv.ParseFloat: parsing "0x": invalid syntax
        0xg
            1:1: parse error: bad number or duration syntax: "0x"
        1e
            1:1: parse error: error parsing number: strconv.ParseFloat: parsing "1e": invalid syntax
        1e+
            1:1: parse error: error parsing number: strconv.ParseFloat: parsing "1e+": invalid syntax
        1.2.3
            1:4: parse error: unexpected number ".3"
        5m
            1:1: parse error: unexpected duration "5m"
        5mx
            1:1: parse error: bad number or duration syntax: "5mx"
        .5m
            1:1: parse error: unexpected duration ".5m"
        1_000
            1:1: parse error: bad number or duration syntax: "1"
        1e999
            1:1: parse error: error parsing number: strconv.ParseFloat: parsing "1e999": value out of range
        foo!bar
            1:4: parse error: unexpected character after '!': 'b'
        foo=bar
            1:4: parse error: unexpected "="
        foo=~bar
            1:4: parse error: unexpected character after '=': '~'
        foo & bar
            1:5: parse error: unexpected character: '&'
        foo | bar
            1:5: parse error: unexpected character: '|'
        foo ? bar
            1:5: parse error: unexpected character: '?'
        é
            1:1: parse error: unexpected character: 'é'
        foo{é="a"}
            1:5: parse error: unexpected character inside braces: 'é'
        bool
            1:1: parse error: unexpected <bool>
        on
            1:1: parse error: unexpected <on>
        atan2
            1:1: parse error: unexpected <op:atan2>
        foo atan2
            1:10: parse error: unexpected end of input
        start()
            1:6: parse error: unexpected "("
        ignoring
            1:1: parse error: unexpected <ignoring>
        group_left
            1:1: parse error: unexpected <group_left>
        sum(foo) without (a) by (b)
            1:22: parse error: unexpected <by>
        sum by (a) (foo) by (b)
            1:18: parse error: unexpected <by>
        rate(foo[5m]) offset 5m
            1:1: parse error: offset modifier must be preceded by an instant vector selector or range \#
        vector selector or a subquery
        absent(foo[5m])
            1:8: parse error: expected type instant vector in call to function "absent", got range vector
        absent_over_time(foo)
            1:18: parse error: expected type range vector in call to function "absent_over_time", got \#
        instant vector
        histogram_quantile(foo, 1)
            1:20: parse error: expected type scalar in call to function "histogram_quantile", got instant \#
        vector
        quantile_over_time(foo[5m], 1)
            1:20: parse error: expected type scalar in call to function "quantile_over_time", got range \#
        vector
        holt_winters(foo[5m])
            1:1: parse error: expected 3 argument(s) in call to "holt_winters", got 1
        foo @ 1e400
            1:7: parse error: error parsing number: strconv.ParseFloat: parsing "1e400": value out of range
        foo[300y]
            1:5: parse error: duration out of range
        'it''
            1:5: parse error: unterminated quoted string
        """#

    static let formats = #"""
        a > bool 1
            a > bool 1
        foo[5m:]
            foo[5m:]
        sum
            sum
        foo{a="b",}
            foo{a="b"}
        foo + on(a,) bar
            foo + on (a) bar
        foo == bool on(a) bar
            foo == bool on (a) bar
        foo{a="b"}[5m:1m] offset -1h @ 3
            foo{a="b"}[5m:1m] @ 3.000 offset -1h
        0777
            511
        089
            89
        99999999999999999999999999
            1e+26
        foo:bar:baz offset 1y2w
            foo:bar:baz offset 379d
        foo offset -5m
            foo offset -5m
        foo{a="é"}
            foo{a="é"}
        and
            and
        or + 1
            or + 1
        1 atan2 2
            1 atan2 2
        start
            start
        end{}
            end
        offset
            offset
        by
            by
        foo unless on() bar
            foo unless on () bar
        foo or ignoring() bar
            foo or bar
        sum without() (foo)
            sum without () (foo)
        foo[5m] @ 5 offset 3m
            foo[5m] @ 5.000 offset 3m
        foo @ -5
            foo @ -5.000
        foo @ +5.5
            foo @ 5.500
        foo[1y10000d]
            foo[10365d]
        1
            1
        1.0e3
            1000
        -1
            -1
        +foo
            +foo
        - -foo
            --foo
        -(foo)
            -(foo)
        1e21
            1e+21
        1e-5
            1e-05
        0.00001
            1e-05
        123456789
            1.23456789e+08
        NaN
            NaN
        inf
            +Inf
        -Inf
            -Inf
        "a\"b\n"
            "a\"b\n"
        `raw\n`
            "raw\\n"
        foo{}
            foo
        {__name__="foo"}
            {__name__="foo"}
        {__name__=~"foo|bar",a!="b"}
            {__name__=~"foo|bar",a!="b"}
        foo{a="b",c!~"d.*"}
            foo{a="b",c!~"d.*"}
        foo{a="b\\c\"d"}
            foo{a="b\\c\"d"}
        rate(foo[90s])
            rate(foo[1m30s])
        rate(foo[1h30m5s])
            rate(foo[1h30m5s])
        foo[1d] offset 1w
            foo[1d] offset 1w
        foo[8d]
            foo[8d]
        foo[366d]
            foo[366d]
        foo[1y1d]
            foo[366d]
        foo[1500ms]
            foo[1s500ms]
        foo[7d]
            foo[1w]
        foo[168h]
            foo[1w]
        foo @ 1609746000.123
            foo @ 1609746000.123
        foo @ start() offset -5m
            foo @ start() offset -5m
        foo offset 5m @ end()
            foo @ end() offset 5m
        sum(foo)by(job)
            sum by (job) (foo)
        sum without(job)(foo)
            sum without (job) (foo)
        sum by () (foo)
            sum(foo)
        topk by (a,b) (5, foo)
            topk by (a, b) (5, foo)
        count_values("x", foo)
            count_values("x", foo)
        quantile(0.9,foo)
            quantile(0.9, foo)
        a+b*c^d
            a + b * c ^ d
        a + on(x) b
            a + on (x) b
        a + ignoring() b
            a + b
        a + ignoring(x,y) group_left b
            a + ignoring (x, y) group_left () b
        a * on(x) group_right(y) b
            a * on (x) group_right (y) b
        a > bool b
            a > bool b
        a > bool on(x) b
            a > bool on (x) b
        a and on() b
            a and on () b
        a unless b or c
            a unless b or c
        a atan2 b
            a atan2 b
        avg_over_time(foo[5m:1m] offset 3m)
            avg_over_time(foo[5m:1m] offset 3m)
        max_over_time(rate(foo[1m])[1h:])
            max_over_time(rate(foo[1m])[1h:])
        (((foo)))
            (((foo)))
        label_replace(foo, "a", "$1", "b", "(.*)")
            label_replace(foo, "a", "$1", "b", "(.*)")
        time()
            time()
        vector(1) - -1
            vector(1) - -1
        sum(rate(http_requests_total{job="api-server", instance="0", group="production", code=~"5.."}[5m])) \#
        by (job, instance) / sum(rate(http_requests_total{job="api-server", instance="0", \#
        group="production"}[5m])) by (job, instance)
              sum by (job, instance) (⏎    rate(http_requests_total{code=~"5..",group="production",instance=\#
        "0",job="api-server"}[5m])⏎  )⏎/⏎  sum by (job, instance) (⏎    \#
        rate(http_requests_total{group="production",instance="0",job="api-server"}[5m])⏎  )
        histogram_quantile(0.99, sum by (le, job, instance, method, handler) \#
        (rate(http_request_duration_seconds_bucket{job="api"}[5m])))
            histogram_quantile(⏎  0.99,⏎  sum by (le, job, instance, method, handler) (⏎    \#
        rate(http_request_duration_seconds_bucket{job="api"}[5m])⏎  )⏎)
        sum(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + \#
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb)
            sum(⏎    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa⏎  +⏎    \#
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb⏎)
        -aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{b="ccccccccccccccccccccccccc\#
        ccccccccccccccccccccc"}
            -aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{b="ccccccccccccccccccccc\#
        ccccccccccccccccccccccccc"}
        (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa and on(ttttttttttttttttttt) \#
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb) > bool 3
              (⏎      aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa⏎    and on \#
        (ttttttttttttttttttt)⏎      bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb⏎  )⏎> bool⏎  3
        max_over_time(sum(rate(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa[5m]) + \#
        rate(bbbbbbbbbbbbbbbbbbbbbb[5m]))[1h:5m] @ 5 offset 3m)
            max_over_time(⏎  sum(⏎    rate(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa[5m]) + \#
        rate(bbbbbbbbbbbbbbbbbbbbbb[5m])⏎  )[1h:5m] @ 5.000 offset 3m⏎)
        topk without (aaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb) (5, \#
        foo{cccccccccccccccccccccccc="d"} * 100)
            topk without (aaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb) (⏎  \#
        5,⏎  foo{cccccccccccccccccccccccc="d"} * 100⏎)
        aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{b="cccccccccccccccccccccccccc\#
        cccccccccccccccccccc"}[5m] offset 3m
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{b="cccccccccccccccccccccc\#
        cccccccccccccccccccccccc"}[5m] offset 3m
        rate(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{b="ccccccccccccccccccccc\#
        ccccccccccccccccccccccccc"}[5m] offset 3m)
            rate(⏎  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{b="cccccccccccccc\#
        cccccccccccccccccccccccccccccccc"}[5m] offset 3m⏎)
        label_join(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "bbbbbbbbbbbbbbbbbbbbbbb", \#
        "ccccccccccccccccc", "dddddddddddd")
            label_join(⏎  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,⏎  \#
        "bbbbbbbbbbbbbbbbbbbbbbb",⏎  "ccccccccccccccccc",⏎  "dddddddddddd"⏎)
        """#

    static func pairs(_ text: String) -> [(query: String, answer: String)] {
        let lines = text.split(separator: "\n").map(String.init)
        return stride(from: 0, to: lines.count - 1, by: 2).map { index in
            (
                lines[index],
                lines[index + 1].dropFirst(4).split(separator: "⏎", omittingEmptySubsequences: false)
                    .joined(separator: "\n")
            )
        }
    }
}
