extension PrometheusTexts {
    /// Right ones, and their form.
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
}
