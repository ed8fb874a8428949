/// Questions about histograms, subqueries, `@` and what collides, with the answers that Debian's Prometheus 2.42 gave
/// over the same samples, which promtool had made blocks of. Its own test files have few of these.
enum RecordedCases {
    /// In the language of those files.
    static let series = #"""
        load 1m
          req_total{job="a",instance="1"} 0+10x30 5+10x29
          req_total{job="a",instance="2"} 0+20x60
          req_total{job="b",instance="1"} 100+7x20 _x10 3+7x29
          up{job="a",instance="1"} 1x60
          up{job="a",instance="2"} 0x60
          up{job="b",instance="1"} 1x60
          temp{room="x",floor="1"} 20+0.5x20 30-0.25x39
          temp{room="y",floor="1"} -3x30 4+1x29
          temp{room="z",floor="2"} NaN 1 +Inf -Inf 5x56
          limit{room="x"} 25x60
          limit{room="y"} 10x60
          lat_bucket{job="a",le="0.1"} 0+2x60
          lat_bucket{job="a",le="1"} 0+5x60
          lat_bucket{job="a",le="10"} 0+9x60
          lat_bucket{job="a",le="+Inf"} 0+10x60
          lat_bucket{job="b",le="0.1"} 0+1x60
          lat_bucket{job="b",le="1.0"} 0+1x60
          lat_bucket{job="b",le="10"} 0+3x60
          lat_bucket{job="b",le="+Inf"} 0+3x60
          odd_bucket{k="noinf",le="1"} 0+1x60
          odd_bucket{k="noinf",le="2"} 0+3x60
          odd_bucket{k="falling",le="1"} 0+5x60
          odd_bucket{k="falling",le="2"} 0+4x60
          odd_bucket{k="falling",le="4"} 0+8x60
          odd_bucket{k="falling",le="+Inf"} 0+8x60
          odd_bucket{k="negative",le="-2"} 0+1x60
          odd_bucket{k="negative",le="-1"} 0+4x60
          odd_bucket{k="negative",le="+Inf"} 0+5x60
          odd_bucket{k="text",le="few"} 0+4x60
          odd_bucket{k="text",le="+Inf"} 0+5x60
          odd_bucket{k="zero",le="1"} 0x60
          odd_bucket{k="zero",le="+Inf"} 0x60
          odd_bucket{k="onlyinf",le="+Inf"} 0+5x60
          odd_bucket{k="nan",le="1"} NaN NaN NaN NaN NaN
          metric{lbl1="value",lbl2="l6CQ5y"} 1x60
          metric{lbl1="value",lbl2="v7uDlF"} 2x60
          a_b{c="1"} 1x60
          a{b_c="1"} 2x60

        """#

    static let histogramsAndTimes = #"""
        eval instant at 30m histogram_quantile(0, lat_bucket)
          {job="b"} 0
          {job="a"} 0
        eval instant at 30m histogram_quantile(0.25, lat_bucket)
          {job="a"} 0.25
          {job="b"} 0.07500000000000001
        eval instant at 30m histogram_quantile(0.5, lat_bucket)
          {job="a"} 1
          {job="b"} 3.25
        eval instant at 30m histogram_quantile(0.9, lat_bucket)
          {job="a"} 10
          {job="b"} 8.649999999999999
        eval instant at 30m histogram_quantile(0.99, lat_bucket)
          {job="a"} 10
          {job="b"} 9.864999999999998
        eval instant at 30m histogram_quantile(1, lat_bucket)
          {job="a"} 10
          {job="b"} 10
        eval instant at 30m histogram_quantile(-0.1, lat_bucket)
          {job="a"} -Inf
          {job="b"} -Inf
        eval instant at 30m histogram_quantile(1.1, lat_bucket)
          {job="b"} +Inf
          {job="a"} +Inf
        eval instant at 30m histogram_quantile(NaN, lat_bucket)
          {job="a"} NaN
          {job="b"} NaN
        eval instant at 30m histogram_quantile(scalar(up{job="a",instance="1"})/2, lat_bucket)
          {job="a"} 1
          {job="b"} 3.25
        eval instant at 30m histogram_quantile(0.3, odd_bucket{k="noinf"})
          {k="noinf"} NaN
        eval instant at 4m histogram_quantile(0.9, odd_bucket{k="noinf"})
          {k="noinf"} NaN
        eval instant at 30m histogram_quantile(0.3, odd_bucket{k="falling"})
          {k="falling"} 0.48
        eval instant at 4m histogram_quantile(0.9, odd_bucket{k="falling"})
          {k="falling"} 3.466666666666667
        eval instant at 30m histogram_quantile(0.3, odd_bucket{k="negative"})
          {k="negative"} -1.8333333333333333
        eval instant at 4m histogram_quantile(0.9, odd_bucket{k="negative"})
          {k="negative"} -1
        eval instant at 30m histogram_quantile(0.3, odd_bucket{k="text"})
          {k="text"} NaN
        eval instant at 4m histogram_quantile(0.9, odd_bucket{k="text"})
          {k="text"} NaN
        eval instant at 30m histogram_quantile(0.3, odd_bucket{k="zero"})
          {k="zero"} NaN
        eval instant at 4m histogram_quantile(0.9, odd_bucket{k="zero"})
          {k="zero"} NaN
        eval instant at 30m histogram_quantile(0.3, odd_bucket{k="onlyinf"})
          {k="onlyinf"} NaN
        eval instant at 4m histogram_quantile(0.9, odd_bucket{k="onlyinf"})
          {k="onlyinf"} NaN
        eval instant at 30m histogram_quantile(0.3, odd_bucket{k="nan"})
        eval instant at 4m histogram_quantile(0.9, odd_bucket{k="nan"})
          {k="nan"} NaN
        eval instant at 30m histogram_quantile(0.5, rate(lat_bucket[5m]))
          {job="a"} 1
          {job="b"} 3.25
        eval instant at 30m histogram_quantile(0.9, sum by (le) (rate(lat_bucket[5m])))
          {} 9.549999999999999
        eval instant at 30m histogram_quantile(0.9, sum by (le, job) (increase(lat_bucket[10m])))
          {job="a"} 10
          {job="b"} 8.649999999999999
        eval instant at 30m histogram_quantile(0.5, sum without (job) (lat_bucket))
          {} 1.75
        eval instant at 30m histogram_quantile(0.5, up)
        eval instant at 30m histogram_quantile(0.5, lat_bucket{le="0.1"})
          {job="a"} NaN
          {job="b"} NaN
        eval instant at 30m histogram_quantile(0.5, label_replace(lat_bucket, "le", "2", "le", "10"))
          {job="a"} 1
          {job="b"} 1.25
        eval instant at 30m max_over_time(rate(req_total[2m])[10m:1m])
          {instance="1", job="a"} 0.16666666666666666
          {instance="1", job="b"} 0.11666666666666667
          {instance="2", job="a"} 0.3333333333333333
        eval instant at 30m min_over_time(rate(req_total[2m])[10m:])
          {instance="1", job="a"} 0.16666666666666666
          {instance="1", job="b"} 0.11666666666666667
          {instance="2", job="a"} 0.3333333333333333
        eval instant at 30m avg_over_time(temp[10m:3m])
          {floor="1", room="x"} 28.875
          {floor="1", room="y"} -3
          {floor="2", room="z"} 5
        eval instant at 30m sum_over_time(temp{room="y"}[10m:90s])
          {floor="1", room="y"} -21
        eval instant at 30m count_over_time(temp{room="x"}[10m:7s])
          {floor="1", room="x"} 86
        eval instant at 30m count_over_time((temp{room="x"} > 25)[20m:1m])
          {floor="1", room="x"} 20
        eval instant at 30m max_over_time(temp[10m:1m] offset 5m)
          {floor="1", room="x"} 30
          {floor="1", room="y"} -3
          {floor="2", room="z"} 5
        eval instant at 30m max_over_time(temp[10m:1m] @ 600)
          {floor="1", room="x"} 25
          {floor="1", room="y"} -3
          {floor="2", room="z"} +Inf
        eval instant at 30m max_over_time(temp[10m:1m] @ 600 offset 2m)
          {floor="1", room="x"} 24
          {floor="1", room="y"} -3
          {floor="2", room="z"} +Inf
        eval instant at 30m max_over_time(temp[10m:1m] offset -5m)
          {floor="1", room="x"} 29
          {floor="1", room="y"} 8
          {floor="2", room="z"} 5
        eval instant at 30m sum_over_time(max_over_time(temp{room="x"}[5m:1m])[10m:2m])
          {floor="1", room="x"} 178.5
        eval instant at 30m rate(req_total[5m:30s])
          {instance="1", job="a"} 0.16666666666666669
          {instance="2", job="a"} 0.33333333333333337
        eval instant at 30m rate((req_total + 0)[5m:1m])
          {instance="1", job="a"} 0.16666666666666669
          {instance="2", job="a"} 0.33333333333333337
        eval instant at 30m increase(req_total[10m:])
          {instance="1", job="a"} 100
          {instance="1", job="b"} 0
          {instance="2", job="a"} 200
        eval instant at 30m deriv(temp{room!="z"}[10m:1m])
          {floor="1", room="x"} -0.003977272727272727
          {floor="1", room="y"} 0
        eval instant at 30m quantile_over_time(0.4, temp[9m:2m])
          {floor="1", room="x"} 28.55
          {floor="1", room="y"} -3
          {floor="2", room="z"} 5
        eval instant at 30m absent_over_time(nothing[5m:1m])
          {} 1
        eval instant at 30m present_over_time(temp[5m:1m])
          {floor="1", room="x"} 1
          {floor="1", room="y"} 1
          {floor="2", room="z"} 1
        eval instant at 30m last_over_time(temp[7m:4m])
          temp{floor="1", room="x"} 28.25
          temp{floor="1", room="y"} -3
          temp{floor="2", room="z"} 5
        eval instant at 30m stddev_over_time(temp{room="x"}[15m:5m])
          {floor="1", room="x"} 1.0058423087144424
        eval instant at 30m changes(temp[20m:10m])
          {floor="1", room="x"} 2
          {floor="1", room="y"} 0
          {floor="2", room="z"} 0
        eval instant at 30m resets(req_total[40m:5m])
          {instance="1", job="a"} 0
          {instance="1", job="b"} 0
          {instance="2", job="a"} 0
        eval instant at 30m temp @ 0
          temp{floor="1", room="x"} 20
          temp{floor="1", room="y"} -3
          temp{floor="2", room="z"} NaN
        eval instant at 30m temp @ 600
          temp{floor="1", room="x"} 25
          temp{floor="1", room="y"} -3
          temp{floor="2", room="z"} 5
        eval instant at 30m temp @ 600.5
          temp{floor="1", room="x"} 25
          temp{floor="1", room="y"} -3
          temp{floor="2", room="z"} 5
        eval instant at 30m temp @ -60
        eval instant at 30m temp{room="x"} @ start()
          temp{floor="1", room="x"} 27.75
        eval instant at 30m temp{room="x"} @ end()
          temp{floor="1", room="x"} 27.75
        eval instant at 30m temp @ 600 offset 5m
          temp{floor="1", room="x"} 22.5
          temp{floor="1", room="y"} -3
          temp{floor="2", room="z"} 5
        eval instant at 30m temp offset 5m @ 600
          temp{floor="1", room="x"} 22.5
          temp{floor="1", room="y"} -3
          temp{floor="2", room="z"} 5
        eval instant at 30m temp offset -10m
          temp{floor="1", room="x"} 25.25
          temp{floor="1", room="y"} 13
          temp{floor="2", room="z"} 5
        eval instant at 30m temp{room="x"} - temp{room="x"} @ 300
          {floor="1", room="x"} 5.25
        eval instant at 30m rate(req_total[5m] @ 900)
          {instance="1", job="a"} 0.16666666666666669
          {instance="1", job="b"} 0.11666666666666667
          {instance="2", job="a"} 0.33333333333333337
        eval instant at 30m rate(req_total[5m] @ 900 offset 5m)
          {instance="1", job="a"} 0.16666666666666669
          {instance="1", job="b"} 0.11666666666666667
          {instance="2", job="a"} 0.33333333333333337
        eval instant at 30m sum(rate(req_total[5m] @ 900)) / sum(rate(req_total[5m]))
          {} 1.2333333333333334
        eval_ordered instant at 30m topk(1, temp @ 1200)
          temp{floor="1", room="x"} 30
        eval instant at 30m sum_over_time(temp{room="y"}[5m] @ end())
          {floor="1", room="y"} -18
        eval instant at 30m avg_over_time(temp{room="x"}[10m:1m] @ start())
          {floor="1", room="x"} 28.977272727272727
        eval instant at 30m timestamp(temp{room="x"} @ 600)
          {floor="1", room="x"} 600
        eval instant at 30m timestamp(temp{room="x"} offset 5m)
          {floor="1", room="x"} 1500
        eval instant at 30m timestamp(timestamp(temp{room="x"}))
          {floor="1", room="x"} 1800
        """#
}
