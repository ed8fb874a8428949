extension RecordedCases {
    static let namesAndOperators = #"""
        eval instant at 30m metric
          metric{lbl1="value", lbl2="l6CQ5y"} 1
          metric{lbl1="value", lbl2="v7uDlF"} 2
        eval instant at 30m sum by (lbl2) (metric)
          {lbl2="l6CQ5y"} 1
          {lbl2="v7uDlF"} 2
        eval instant at 30m metric * on (lbl1, lbl2) metric
          {lbl1="value", lbl2="l6CQ5y"} 1
          {lbl1="value", lbl2="v7uDlF"} 4
        eval instant at 30m metric + ignoring (lbl2) group_left () metric{lbl2="l6CQ5y"}
          {lbl1="value", lbl2="l6CQ5y"} 2
          {lbl1="value", lbl2="v7uDlF"} 3
        eval_fail instant at 30m metric + ignoring (lbl2) metric
        eval instant at 30m {c="1"} + ignoring(c) {b_c="1"}
        eval instant at 30m {c="1"} or {b_c="1"}
          a_b{c="1"} 1
          a{b_c="1"} 2
        eval instant at 30m {c="1"} + on() {b_c="1"}
          {} 3
        eval_fail instant at 30m label_replace(temp, "room", "same", "", "")
        eval_fail instant at 30m label_replace(metric, "lbl2", "same", "lbl2", ".*")
        eval_fail instant at 30m label_join(metric, "lbl2", "-", "lbl1")
        eval instant at 30m label_replace(temp, "floor", "$1$2", "room", "(x)|(y)|z")
          temp{floor="x", room="x"} 27.75
          temp{floor="y", room="y"} -3
          temp{room="z"} 5
        eval instant at 30m sum(temp) by (floor) or sum(temp) by (floor, room)
          {floor="1"} 24.75
          {floor="2"} 5
          {floor="1", room="x"} 27.75
          {floor="1", room="y"} -3
          {floor="2", room="z"} 5
        eval_fail instant at 30m rate({__name__=~"req_total|up"}[5m])
        eval instant at 30m rate({__name__=~"a|a_b"}[5m])
          {b_c="1"} 0
          {c="1"} 0
        eval instant at 30m -{__name__=~"a|a_b"}
          {b_c="1"} -2
          {c="1"} -1
        eval instant at 30m {__name__=~"a|a_b"} * 2
          {b_c="1"} 4
          {c="1"} 2
        eval instant at 30m temp > limit
        eval instant at 30m temp > on (room) limit
          {room="x"} 27.75
        eval instant at 30m temp > bool on (room) limit
          {room="x"} 1
          {room="y"} 0
        eval instant at 30m temp < on (room) group_left () limit
          temp{floor="1", room="y"} -3
        eval instant at 30m limit > on (room) group_right () temp
          temp{floor="1", room="y"} 10
        eval instant at 30m temp unless on (room) limit
          temp{floor="2", room="z"} 5
        eval instant at 30m temp and on (room) (limit < 20)
          temp{floor="1", room="y"} -3
        eval instant at 30m temp / on (room) group_left () limit
          {floor="1", room="x"} 1.11
          {floor="1", room="y"} -0.3
        eval_fail instant at 30m temp * on (floor) temp
        eval instant at 30m sum by (floor) (temp{room!="z"}) / on (floor) group_right () temp{room!="z"}
          {floor="1", room="x"} 0.8918918918918919
          {floor="1", room="y"} -8.25
        eval instant at 30m up == bool 1
          {instance="1", job="a"} 1
          {instance="1", job="b"} 1
          {instance="2", job="a"} 0
        eval instant at 30m up == 1
          up{instance="1", job="a"} 1
          up{instance="1", job="b"} 1
        eval instant at 30m 1 == bool 2
          0
        eval instant at 30m 3 % -2
          1
        eval instant at 30m -3 % 2
          -1
        eval instant at 30m 2 ^ 3 ^ 2
          512
        eval instant at 30m -2 ^ 2
          -4
        eval instant at 30m 1 / 0
          +Inf
        eval instant at 30m 0 / 0
          NaN
        eval instant at 30m temp{room="z"} @ 0
          temp{floor="2", room="z"} NaN
        eval instant at 30m temp{room="z"} @ 120
          temp{floor="2", room="z"} +Inf
        eval instant at 30m max(temp)
          {} 27.75
        eval instant at 30m min(temp)
          {} -3
        eval instant at 30m avg(temp)
          {} 9.916666666666668
        eval instant at 30m stddev(temp)
          {} 13.02614891499232
        eval instant at 30m stdvar(temp{room!="z"})
          {} 236.390625
        eval instant at 30m quantile(0.3, temp)
          {} 1.7999999999999998
        eval instant at 30m quantile(-1, temp)
          {} -Inf
        eval instant at 30m quantile(2, temp)
          {} +Inf
        eval instant at 30m count_values("v", up)
          {v="1"} 2
          {v="0"} 1
        eval instant at 30m count_values("job", up)
          {job="1"} 2
          {job="0"} 1
        eval_ordered instant at 30m topk(2, temp)
          temp{floor="1", room="x"} 27.75
          temp{floor="2", room="z"} 5
        eval instant at 30m bottomk(1, temp)
          temp{floor="1", room="y"} -3
        eval_ordered instant at 30m topk(0, temp)
        eval instant at 30m group(temp) by (floor)
          {floor="1"} 1
          {floor="2"} 1
        eval instant at 30m sum without (instance) (req_total)
          {job="a"} 900
        eval instant at 30m sum by () (up)
          {} 2
        eval instant at 30m avg by (nope) (up)
          {} 0.6666666666666667
        eval instant at 30m count(nothing)
        eval instant at 30m absent(nothing{a="b"})
          {a="b"} 1
        eval instant at 30m absent(nothing{a=~"b"})
          {} 1
        eval instant at 30m absent(sum(nothing))
          {} 1
        eval instant at 30m scalar(temp)
          NaN
        eval instant at 30m scalar(temp{room="x"})
          27.75
        eval instant at 30m vector(time())
          {} 1800
        eval instant at 30m rate(req_total[1m])
          {instance="1", job="a"} 0.16666666666666666
          {instance="2", job="a"} 0.3333333333333333
        eval instant at 30m rate(req_total[61s])
          {instance="1", job="a"} 0.16666666666666666
          {instance="2", job="a"} 0.3333333333333333
        eval instant at 30m irate(req_total[5m])
          {instance="1", job="a"} 0.16666666666666666
          {instance="2", job="a"} 0.3333333333333333
        eval instant at 30m idelta(temp[5m])
          {floor="1", room="x"} -0.25
          {floor="1", room="y"} 0
          {floor="2", room="z"} 0
        eval instant at 30m delta(temp[10m])
          {floor="1", room="x"} -2.25
          {floor="1", room="y"} 0
          {floor="2", room="z"} 0
        eval instant at 30m increase(req_total[15m])
          {instance="1", job="a"} 150
          {instance="1", job="b"} 38.5
          {instance="2", job="a"} 300
        eval instant at 30m increase(req_total{job="b"}[25m])
          {instance="1", job="b"} 108.50000000000001
        eval instant at 30m resets(req_total[1h])
          {instance="1", job="a"} 0
          {instance="1", job="b"} 0
          {instance="2", job="a"} 0
        eval instant at 30m changes(temp[1h])
          {floor="1", room="x"} 29
          {floor="1", room="y"} 0
          {floor="2", room="z"} 4
        eval instant at 30m predict_linear(temp{room="x"}[10m], 600)
          {floor="1", room="x"} 25.397727272727273
        eval instant at 30m holt_winters(temp{room="x"}[20m], 0.3, 0.6)
          {floor="1", room="x"} 27.527176569307393
        eval instant at 30m clamp(temp, 0, 20)
          {floor="1", room="x"} 20
          {floor="1", room="y"} 0
          {floor="2", room="z"} 5
        eval instant at 30m clamp_max(temp, 5)
          {floor="1", room="x"} 5
          {floor="1", room="y"} -3
          {floor="2", room="z"} 5
        eval instant at 30m clamp(temp, 20, 0)
        eval instant at 30m round(temp * 1.3, 0.5)
          {floor="1", room="x"} 36
          {floor="1", room="y"} -4
          {floor="2", room="z"} 6.5
        eval instant at 30m sgn(temp)
          {floor="1", room="x"} 1
          {floor="1", room="y"} -1
          {floor="2", room="z"} 1
        eval_ordered instant at 30m sort_desc(temp{room!="z"})
          temp{floor="1", room="x"} 27.75
          temp{floor="1", room="y"} -3
        eval instant at 30m day_of_week()
          {} 4
        eval instant at 30m hour(vector(86399))
          {} 23
        eval instant at 30m days_in_month(vector(951782400))
          {} 29
        eval instant at 30m sum(sum by (job) (rate(req_total[5m])) * on (job) group_left () count by (job) (up))
          {} 1
        eval instant at 30m min_over_time(temp{room="z"}[1h])
          {floor="2", room="z"} -Inf
        eval instant at 30m max_over_time(temp{room="z"}[1h])
          {floor="2", room="z"} +Inf
        eval instant at 30m avg_over_time(temp{room="z"}[1h])
          {floor="2", room="z"} NaN
        eval instant at 30m sum_over_time(temp{room="z"}[2m] @ 120)
          {floor="2", room="z"} NaN
        eval instant at 30m quantile_over_time(0.5, temp{room="z"}[1h])
          {floor="2", room="z"} 5
        eval instant at 30m count_over_time(temp[1h])
          {floor="1", room="x"} 31
          {floor="1", room="y"} 31
          {floor="2", room="z"} 31
        """#
}
