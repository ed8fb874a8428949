import Testing

/// Transcripts that pass as they stand. The tests of mutations and updates change them.
struct Sample: Sendable {
    let name: String
    let text: String
    /// Changes, as `kind line-number`, that leave the transcript true, beyond those that always do.
    var equivalents: Set<String> = []
    /// Changes, as `kind line-number`, that are rightly reported outside their own step, and where.
    var places: [String: Set<Int>] = [:]
    /// Changes, as `kind line-number`, that no update can repair.
    var hopeless: Set<String> = []
}

extension Sample: CustomTestStringConvertible {
    var testDescription: String { name }
}

enum Samples {
    static let all = [balancer, faults, jobs, terminals, loops, exact, strict, holes]

    /// In 10 seconds the good checks have wiped the slate as well as in 30; a fifth request may come, as the line may.
    static let session01Equivalents: Set<String> = ["retime 71", "count 92"]

    /// With optional lines about, the first of two equal lines is as good as the second.
    static let session01Places: [String: Set<Int>] = ["change 94": [95]]

    static let balancer = Sample(
        name: "balancer",
        text: """
            $ backend --port 8081 --name Server-A &
            $ backend --port 8082 --name Server-B &
            $ loadbalancer --config lb.yaml --port 80
            [LB] Loaded 2 backends: 8081, 8082
            [LB] Health checker started (interval: 5s)
            [LB] Listening on :80
            $ for i in {1..4}; do curl -s http://localhost/; done
            Response from Server-A
            Response from Server-B
            Response from Server-A
            Response from Server-B
            $ kill -9 Server-B
            [30 seconds later]
            [LB] Backend 8082 failed health check (3 consecutive failures)
            [LB] Removed 8082 from pool
            # One is left, and it has to do all the work.
            $ for i in {1..2}; do curl -s http://localhost/; done
            Response from Server-A
            Response from Server-A
            $ backend --port 8082 --name Server-B &
            [within 15s]
            [LB] Backend 8082 passed health check (2 consecutive successes)
            [LB] Added 8082 to pool
            $ kill lb
            [LB] Draining: 0 connections open
            [LB] Stopped
            $ curl -s http://localhost/
            [exit 7]

            -- lb.yaml --
            health_check: {interval: 5s, path: /, unhealthy_after: 3, healthy_after: 2}
            backends: [8081, 8082]
            """)

    static let faults = Sample(
        name: "faults",
        text: """
            $ backend --port 8081 --name Server-A &
            $ inject latency 200ms on Server-A for 30s
            fault 1: latency 200ms on Server-A for 30s
            $ curl -s -w '%{http_code} %{time_total}\\n' http://localhost:8081/
            Response from Server-A
            200 <0.4~1%>
            [10 seconds later]
            $ curl -s -w '%{http_code} %{time_total}\\n' http://localhost:8081/
            Response from Server-A
            200 <0.4~1%>
            [30 seconds later]
            $ faults
            no faults
            $ inject fail http 503 first 2 on Server-A
            fault <int:number>: fail http 503 first 2 on Server-A
            $ for i in 1 2 3; do curl -s -o /dev/null -w '%{http_code}\\n' http://localhost:8081/; done
            503
            503
            200
            $ heal 7
            heal: there is no fault 7; see faults
            [exit 1]
            """)

    static let jobs = Sample(
        name: "jobs",
        text: """
            $ for i in 1 2 3; do sleep 10; echo tick $i; done &
            $ echo front
            front
            tick 1
            [30 seconds later]
            tick 2
            tick 3
            $ sleep 100 &
            $ jobs
            JOB  STATE    NODE  COMMAND
            %1   running  -     sleep 100
            $ kill %1
            $ jobs
            no jobs
            $ sleep 5 && false &
            [exit 1]
            $ wait; echo over
            over
            """,
        // The surplus is that of the job on line 1. With its third tick to come, the job is what `kill %1` kills, and
        // `wait` waits for the other for longer than a minute.
        places: ["drop 7": [1]], hopeless: ["retime 5"])

    static let terminals = Sample(
        name: "terminals",
        text: """
            $ cat
            > hello
            hello
            # Terminal 2: somebody else
            $ echo there
            there
            # Terminal 1: again
            > more
            more
            $ jobs
            JOB  STATE    NODE  COMMAND
            %1   running  -     cat
            @terminal 3
            $ term
            TERMINAL  STATE
                   1  free
                   2  free
                   3  here
            """,
        // What cat says is all one step's, in spite of the other terminal between.
        places: ["drop 3": [8], "drop 9": [1]])

    static let loops = Sample(
        name: "loops",
        text: """
            $ cat > list <<END
            > alpha
            > beta
            > END
            $ cat list | wc -l
            2
            $ i=0; while [ $i -lt 3 ]; do echo n$i; i=$((i+1)); sleep 2; done
            n0
            n1
            n2
            $ clock
            time     2023-12-20T15:00:06Z
            ...
            timers   0
            seed     1
            $ for i in {1..5}; do echo $i; done
            1
            ...
            5
            $ printf 'a\\n\\nb\\n'
            a

            b
            $ false
            [exit 1]
            $ frobnicate
            unknown command 'frobnicate'
            [exit 127]
            $ seq 3
            1
            maybe (?)
            2
            [0-9] (re)
            """)

    static let exact = Sample(
        name: "exact",
        text: """
            @logs exact
            $ backend --port 8081 --name Server-A &
            $ loadbalancer --backends 8081,8082 --port 80
            [LB] Loaded 2 backends: 8081, 8082
            [LB] Health checker started (interval: 5s)
            [LB] Listening on :80
            $ sleep 16
            [LB] Backend 8082 failed health check (3 consecutive failures)
            [LB] Removed 8082 from pool
            $ kill lb
            [LB] Draining: <int> connections open
            [LB] Stopped
            """,
        // It needs nothing but time, and time is what is given to a line that is waited for.
        equivalents: ["earlier 8"],
        // The lines of a tag are one stream through all steps.
        places: ["drop 6": [7], "drop 9": [10]])

    static let strict = Sample(
        name: "strict",
        text: """
            @order strict
            @logs exact
            $ backend --port 8081 --name Server-A &
            $ loadbalancer --backends 8081,8082 --port 80; echo up
            [LB] Loaded 2 backends: 8081, 8082
            [LB] Health checker started (interval: 5s)
            [LB] Listening on :80
            up
            $ sleep 16; echo later; kill lb; sleep 1; echo end
            [LB] Backend 8082 failed health check (3 consecutive failures)
            [LB] Removed 8082 from pool
            later
            [LB] Draining: 0 connections open
            [LB] Stopped
            end
            """,
        equivalents: ["earlier 10"], places: ["drop 7": [9]])

    static let holes = Sample(
        name: "holes",
        text: """
            $ backend --port 8081 --name Server-A &
            $ curl -s -i http://localhost:8081/
            HTTP/1.1 200 OK
            Server: <id:server>
            Date: <ts>
            Content-Type: text/<any>
            Content-Length: <int:length>

            Response from Server-A   ← its name
            $ echo $length
            <=length>
            $ curl -s http://localhost:8081/bytes/12 | wc -c
            12
            $ curl http://localhost:9/
            curl: (7) Failed to connect to localhost port 9 after <dur>: Couldn't connect to server
            [exit 7]
            """)
}
