import KernelStructures
import ShellTranscripts
import Testing

@Suite("Time in transcripts") struct TimingTests {
    static let balancer = """
        $ backend --port 8081 --name A &
        $ loadbalancer --backends 8081,8082 --port 80

        """

    @Test("The clock stops at the match: waiting goes from timer to timer and no further")
    func stopsAtMatch() throws {
        #expect(try Bench.elapsed("$ for i in 1 2 3; do sleep 10; echo t$i; done &\nt1\nt2\n") == .seconds(20))
        #expect(try Bench.elapsed(Self.balancer + "[LB] Removed 8082 from pool\n") == .seconds(15))
        #expect(try Bench.elapsed(Self.balancer + "[LB] Listening on :80\n") == .zero)
        #expect(try Bench.elapsed("$ sleep 7; echo a\na\n$ echo b\nb\n") == .seconds(7))
    }

    @Test("A transcript that expects nothing moves no time")
    func nothingExpected() throws {
        #expect(try Bench.elapsed(Self.balancer) == .zero)
        #expect(try Bench.elapsed("$ sleep 100 &\n$ true\n") == .zero)
    }

    @Test("What a terminal is busy with comes to its end before the next command, and at the end of the case")
    func busyTerminal() throws {
        #expect(try Bench.elapsed("$ sleep 5\n$ sleep 6\n") == .seconds(11))
        #expect(try Bench.elapsed("$ sleep 5\n# Terminal 2\n$ sleep 6\n") == .seconds(6))
    }

    @Test("A line that does not come is given up after the step's time")
    func timeout() throws {
        let late = try #require(try Bench.failure(Self.balancer + "[LB] never said\n"))
        #expect(late.place.line == 3 && late.message == "the line did not come after 1m" && late.elapsed == "1m")
        let soon = try #require(try Bench.failure("@timeout 20s\n" + Self.balancer + "[LB] never said\n"))
        #expect(soon.message == "the line did not come after 20s" && soon.elapsed == "20s")
        let changed = try #require(try Bench.failure(Self.balancer + "@timeout 7s\n$ true\n[LB] never said\n"))
        #expect(changed.message == "the line did not come after 7s" && changed.elapsed == "5s")
        #expect(try Bench.failure("$ sleep 61 && echo x &\nx\n") != nil)
        #expect(try Bench.failure("@timeout 2m\n$ sleep 61 && echo x &\nx\n") == nil)
    }

    @Test("[within] bounds the waiting of its step, and of no other")
    func within() throws {
        #expect(try Bench.failure(Self.balancer + "[within 15s]\n[LB] Removed 8082 from pool\n") == nil)
        let failure = try #require(try Bench.failure(Self.balancer + "[within 14s]\n[LB] Removed 8082 from pool\n"))
        #expect(failure.place.line == 4 && failure.message == "the line did not come within 14s")
        #expect(try Bench.failure(Self.balancer + "[within 1s]\n$ true\n[LB] Removed 8082 from pool\n") == nil)
        #expect(try Bench.failure("$ sleep 30 && echo x &\n[within 100s]\nx\n") == nil)
        #expect(try Bench.failure("$ sleep 90 && echo x &\n[within 100s]\nx\n") == nil)
    }

    @Test("Explicit time passes exactly, and timers on the way go off")
    func later() throws {
        #expect(try Bench.elapsed("$ true\n[30 seconds later]\n") == .seconds(30))
        #expect(try Bench.elapsed("$ true\n[1 minute later]\n[500 ms later]\n") == .seconds(60) + .milliseconds(500))
        #expect(
            try Bench.elapsed("$ for i in 1 2 3; do sleep 10; echo t$i; done &\n[25 seconds later]\nt1\nt2\n")
                == .seconds(25))
    }

    @Test("After explicit time nothing is waited for, until the next command or comment")
    func noWaitingAfterLater() throws {
        let start = Self.balancer + "[10 seconds later]\n"
        for between in ["", "\n", "@logs subset\n", "[within 30s]\n", "@timeout 30s\n"] {
            let failure = try #require(
                try Bench.failure(start + between + "[LB] Removed 8082 from pool\n"), "\(between)")
            #expect(failure.message == "the line did not come at this moment")
            #expect(failure.elapsed == "10s")
        }
        for between in ["# a comment\n", "$ true\n"] {
            #expect(try Bench.elapsed(start + between + "[LB] Removed 8082 from pool\n") == .seconds(15), "\(between)")
        }
    }

    @Test("What has happened by then is there after explicit time, also what `...` leaves open")
    func elidedThroughLater() throws {
        let loop = "$ for i in 1 2 3 4; do echo t$i; sleep 10; done &\n"
        #expect(try Bench.failure(loop + "t1\n...\n[35 seconds later]\nt4\n") == nil)
        #expect(try Bench.failure(loop + "t1\n[35 seconds later]\nt4\n") != nil)
    }

    @Test("Where nothing is left that could happen, it is said at once")
    func nothingLeft() throws {
        let failure = try #require(try Bench.failure("$ cat\nhello\n"))
        #expect(
            failure.message == "the line did not come and nothing is left that could change that"
                && failure.elapsed == "0s")
        let log = try #require(try Bench.failure("$ true\n[LB] x\n"))
        #expect(log.message.hasSuffix("nothing is left that could change that"))
        let ended = try #require(try Bench.failure("$ echo a\na\nb\n"))
        #expect(ended.message == "the command ended without this line" && ended.place.line == 3)
    }

    @Test("A command that never ends is stopped by the step's time, at its own line")
    func neverEnding() throws {
        let failure = try #require(try Bench.failure("@timeout 20s\n$ true\n$ while true; do sleep 1; done\n"))
        #expect(failure.place.line == 3 && failure.elapsed == "20s")
        #expect(failure.message == "the command still runs after 20s, at the end of the case")
        let wanted = try #require(try Bench.failure("$ while true; do sleep 1; done\n$ echo x\n"))
        #expect(wanted.place.line == 1 && wanted.message.contains("its terminal is wanted at line 2"))
    }

    @Test("Work without end at one moment is reported as such")
    func endless() throws {
        for text in [
            "$ while true; do true; done\n", "$ while true; do true; done\nx\n",
            "$ while true; do true; done &\n$ true\n[5 seconds later]\n",
        ] {
            let failure = try #require(try Bench.failure(text), "\(text)")
            #expect(
                failure.message.contains("work goes on for ever") || failure.message.contains("endless"),
                "\(failure.message)")
            #expect(failure.elapsed == "0s")
        }
    }

    @Test("A failure says where, when, what came nearest and what the clock waits for")
    func failure() throws {
        let text = Self.balancer + "[10 seconds later]\n[LB] Listening on :81\n"
        let failure = try #require(try Bench.failure(text))
        #expect(failure.place == SourcePlace(file: Bench.name, line: 4))
        #expect(failure.expected == "[LB] Listening on :81")
        #expect(failure.nearest == "[LB] Listening on :80")
        #expect(failure.elapsed == "10s")
        #expect(failure.timers == ["lb in 2.5s"])
        let output = try #require(try Bench.failure("$ printf 'one\\ntwo\\nthree\\n'\none\nthre\n"))
        #expect(output.seen == "two" && output.expected == "thre" && output.nearest == "three")
    }

    @Test("By a clock that runs by itself the same transcripts pass")
    func runningClock() throws {
        #expect(try Bench.failure("@clock x60\n$ sleep 5; echo a\na\n[3 seconds later]\n") == nil)
        let late = try #require(try Bench.failure("@clock x60\n@timeout 3s\n$ sleep 60 && echo a &\na\n"))
        #expect(late.message == "the line did not come after 3s")
        let text = "@clock x60\n" + Self.balancer + "[within 20s]\n[LB] Removed 8082 from pool\n"
        #expect(try Bench.failure(text) == nil)
        #expect(try Bench.failure(text, net: .loopback) == nil)
    }
}
