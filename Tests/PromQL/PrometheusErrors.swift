extension PrometheusTexts {
    /// Wrong expressions, and what is wrong with them.
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
        sum(foo bar)
            1:9: parse error: unexpected identifier "bar" in aggregation
        sum(rate(foo bar))
            1:14: parse error: unexpected identifier "bar" in aggregation
        sum((foo bar))
            1:10: parse error: unexpected identifier "bar" in aggregation
        sum(foo[5m] bar)
            1:13: parse error: unexpected identifier "bar" in aggregation
        topk(1 2, foo)
            1:8: parse error: unexpected number "2" in aggregation
        sum(1 +)
            1:8: parse error: unexpected ")" in aggregation
        sum(foo) bar
            1:10: parse error: unexpected identifier "bar"
        sum(foo by)
            1:9: parse error: unexpected <by> in aggregation
        sum by (a) (foo bar)
            1:17: parse error: unexpected identifier "bar" in aggregation
        rate(foo bar)
            1:10: parse error: unexpected identifier "bar"
        (foo bar)
            1:6: parse error: unexpected identifier "bar"
        sum(foo, *)
            1:8: parse error: trailing commas not allowed in function call args
        sum(foo offset)
            1:15: parse error: unexpected ")" in offset, expected duration
        sum(foo{a)
            1:10: parse error: unexpected character inside braces: ')'
        sum(foo{a b})
            1:11: parse error: unexpected identifier "b" in label matching, expected label matching operator
        sum(1 + bool)
            1:13: parse error: unexpected ")" in aggregation
        """#
}
