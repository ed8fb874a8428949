import Glibc
import Testing

extension ProgramHeavyTests {
    /// What happens to those who are under way when something else happens: a reload, a thousand slow clients, a stream
    /// that does not end.
    @Suite struct ProcessTrafficTests {
        // @covers LB-C4 LB-M4
        @Test(
            "twenty reloads under load, servers coming and going: no request fails, no connection is cut",
            .enabled(if: ProgramTool.canRun("wrk"), "wrk is not there: run scripts/setup test"),
            arguments: [[], ["-H", "Connection: close"]])
        func reloads(flags: [String]) throws {
            let ports = try (0..<4).map { _ in try ProgramPort.free() }
            let backends = try zip(ports, ["A", "B", "C", "D"]).map {
                try ProgramProcess.service("backend", "--name", $1, port: $0)
            }
            let directory = try ProgramDirectory()
            let lists = [[0, 1, 2], [1, 3], [0, 2, 3], [2]]
            func place(_ round: Int) throws {
                let list = lists[round % lists.count].map { "\(ports[$0])" }.joined(separator: ", ")
                let algorithm = ["round-robin", "least-connections", "maglev"][round % 3]
                try directory.place("lb.yaml", "algorithm: \(algorithm)\nbackends: [\(list)]\n")
            }
            try place(0)
            let port = try ProgramPort.free()
            let balancer = try ProgramProcess.service(
                "loadbalancer", "--config", "lb.yaml", port: port, directory: directory.path)
            let load = try ProgramProcess(
                ["-t1", "-c16", "-d\(ProgramSize.full(20, else: 5))s"] + flags + ["http://127.0.0.1:\(port)/"],
                program: try ProgramTool.needed("wrk"))
            for round in 1...20 {
                try place(round)
                balancer.send(SIGHUP)
                // Each is waited for, so that none is lost in another.
                try balancer.waitFor(count: round, of: "[LB] Reloaded: ")
                let other = try ProgramConnection(port: port)
                for _ in 0..<20 { #expect(try other.get().status == 200) }
            }
            #expect(try load.waitForExit(within: 60) == 0)
            #expect(load.output.contains(" requests in "))
            #expect(!load.output.contains("Socket errors") && !load.output.contains("Non-2xx"), "\(load.output)")
            #expect(backends.allSatisfy { $0.isRunning })
        }

        // @covers LB-C1
        @Test("a thousand clients that say or take one byte at a time leave the others' latency alone")
        func slowClients() throws {
            let backendPort = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
            let port = try ProgramPort.free()
            let balancer = try ProgramProcess.service("loadbalancer", "--backends", "\(backendPort)", port: port)
            let quick = try ProgramConnection(port: port)
            /// The best of several medians: what the balancer needs, without what else the machine does.
            func latency(_ between: () throws -> Void = {}) throws -> Double {
                try (0..<10).map { _ in
                    try between()
                    let times = try (0..<50).map { _ throws -> Double in
                        let began = ProgramClock.seconds
                        let body = try quick.get().body
                        #expect(body == "Response from A\n")
                        return ProgramClock.seconds - began
                    }
                    return times.sorted()[25]
                }.min()!
            }
            let alone = try latency()
            let head = Array("GET / HTTP/1.1\r\nHost: test\r\nX-Slow: 1\r\n\r\n".utf8)
            let writers = try (0..<700).map { _ in try ProgramConnection(port: port) }
            let readers = try (0..<300).map { _ in try ProgramConnection(port: port) }
            for reader in readers { try reader.send("GET /bytes/1MiB HTTP/1.1\r\nHost: test\r\n\r\n") }
            var sent = 0
            let together = try latency {
                for writer in writers { try writer.send([head[sent]]) }
                sent += 1
                for reader in readers { reader.takeByte() }
            }
            print("latency beside 1,000 slow clients: \(together * 1e6) us, alone \(alone * 1e6) us")
            #expect(together < 3 * alone + 0.002)
            // They were slow, not wrong: each gets its answer.
            for writer in writers { try writer.send(Array(head[sent...])) }
            for writer in writers { #expect(try writer.response().status == 200) }
            #expect(try readers[299].response(keepsBody: false).status == 200)
            #expect(backend.isRunning && balancer.isRunning)
        }

        // @covers LB-M1
        @Test("what passes in TCP mode through the kernel's pipes is what was sent, both ways, fast or slow")
        func pipes() throws {
            let server = try ProgramBadServer { descriptor in
                // Gives back what it gets.
                var buffer = [UInt8](repeating: 0, count: 256 * 1024)
                while true {
                    let count = read(descriptor, &buffer, buffer.count)
                    guard count > 0 else { break }
                    var done = 0
                    while done < count {
                        let sent = buffer.withUnsafeBytes {
                            send(descriptor, $0.baseAddress! + done, count - done, Int32(MSG_NOSIGNAL))
                        }
                        guard sent > 0 else { return }
                        done += sent
                    }
                }
                shutdown(descriptor, Int32(SHUT_WR))
            }
            defer { server.stop() }
            let port = try ProgramPort.free()
            let balancer = try ProgramProcess.service(
                "loadbalancer", "--backends", "\(server.port)", "--mode", "tcp", port: port)
            let before = balancer.pipeCount
            let idle = try balancer.memoryBytes("VmHWM")
            let connection = try ProgramConnection(port: port)
            let total = ProgramSize.full(1024, else: 64) << 20
            let descriptor = connection.descriptor
            startProgramThread {
                var sent = 0
                var piece = [UInt8](repeating: 0, count: 1 << 20)
                while sent < total {
                    for index in piece.indices { piece[index] = Self.byte(sent + index) }
                    var done = 0
                    while done < piece.count {
                        let count = piece.withUnsafeBytes {
                            send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
                        }
                        guard count > 0 else { return }
                        done += count
                    }
                    sent += piece.count
                }
                shutdown(descriptor, Int32(SHUT_WR))
            }
            var received = 0
            var mostPipes = 0
            var isRight = true
            var buffer = [UInt8](repeating: 0, count: 128 * 1024)
            let deadline = ProgramClock.seconds + 120
            while ProgramSocket.isReadable(descriptor, until: deadline) {
                let count = read(descriptor, &buffer, buffer.count)
                guard count > 0 else { break }
                for index in 0..<count where buffer[index] != Self.byte(received + index) { isRight = false }
                // At first it takes its time, so that all buffers between fill up.
                if received < 8 << 20 { poll(nil, 0, 2) }
                received += count
                mostPipes = max(mostPipes, balancer.pipeCount)
            }
            #expect(received == total && isRight)
            #expect(mostPipes > before, "no pipe was ever used")
            // A small answer comes as well after large ones, and what breaks off leaves nothing.
            for _ in 0..<20 {
                let other = try ProgramConnection(port: port)
                try other.send([UInt8](repeating: 7, count: 4 << 20))
                other.resetAtEnd()
            }
            let last = try ProgramConnection(port: port)
            try last.send("end")
            last.finish()
            #expect(last.rest() == Array("end".utf8))
            let peak = try balancer.memoryBytes("VmHWM")
            #expect(peak < idle + 8 << 20, "\(peak >> 20) MiB at its peak, \(idle >> 20) when it began")
        }

        /// A byte that depends on its place, and not with a period of a power of two.
        private static func byte(_ place: Int) -> UInt8 { UInt8(truncatingIfNeeded: place &+ place / 251) }

        @Test("two processes share a port, and one of them can go")
        func sharedPort() throws {
            let backendPort = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
            let port = try ProgramPort.free()
            let two = try (0..<2).map { _ in
                try ProgramProcess.service(
                    "loadbalancer", "--backends", "\(backendPort)", "--reuse-port", port: port)
            }
            // A process ends with its last reference.
            defer { withExtendedLifetime(two) {} }
            for process in two { try process.waitFor("[LB] Listening on") }
            for _ in 0..<20 { #expect(try ProgramConnection(port: port).get().status == 200) }
            two[0].send(SIGTERM)
            #expect(try two[0].waitForExit() == 0)
            for _ in 0..<20 { #expect(try ProgramConnection(port: port).get().status == 200) }
            #expect(backend.isRunning && two[1].isRunning)
            let alone = try ProgramProcess(["loadbalancer", "--backends", "1", "--port", "\(port)"])
            #expect(try alone.waitForExit() == 1)
        }

        @Test(
            "clients may come by a unix socket as well",
            .enabled(if: ProgramTool.canRun("curl"), "curl is not there: run scripts/setup test"))
        func unixSocket() throws {
            let backendPort = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
            for mode in ["http", "tcp"] {
                let directory = try ProgramDirectory()
                let socket = directory.path + "/front.sock"
                let port = try ProgramPort.free()
                let balancer = try ProgramProcess.service(
                    "loadbalancer", "--backends", "\(backendPort)", "--mode", mode, "--socket", socket, port: port)
                try balancer.waitFor("[LB] Listening on \(socket)")
                let curl = try ProgramProcess(
                    ["-s", "--unix-socket", socket, "http://test/", "http://test/"],
                    program: try ProgramTool.needed("curl"))
                #expect(try curl.waitForExit() == 0)
                #expect(curl.output == "Response from A\nResponse from A\n")
                #expect(try ProgramConnection(port: port).get().status == 200)
                balancer.send(SIGTERM)
                #expect(try balancer.waitForExit() == 0)
                #expect(access(socket, F_OK) != 0, "the socket's file is gone with it")
            }
            #expect(backend.isRunning)
        }

        @Test("a backend may be a unix socket of the machine, and be gone")
        func unixBackend() throws {
            let backendPort = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
            let directory = try ProgramDirectory()
            let socket = directory.path + "/inner.sock"
            let inner = try ProgramProcess.service(
                "loadbalancer", "--backends", "\(backendPort)", "--socket", socket, port: try ProgramPort.free())
            try inner.waitFor("[LB] Listening on \(socket)")
            for mode in ["http", "tcp"] {
                let port = try ProgramPort.free()
                let outer = try ProgramProcess.service(
                    "loadbalancer", "--backends", "unix:\(socket)", "--mode", mode, port: port)
                try outer.waitFor("[LB] Loaded 1 backend: inner.sock")
                for _ in 0..<3 {
                    let answer = try ProgramConnection(port: port).get()
                    #expect(answer.status == 200 && answer.body == "Response from A\n")
                }
                outer.send(SIGTERM)
                #expect(try outer.waitForExit() == 0)
            }
            let port = try ProgramPort.free()
            let limiter = try ProgramProcess.service(
                "ratelimiter", "--rate", "100", "--upstream", "unix:\(socket)", port: port)
            #expect(try ProgramConnection(port: port).get().body == "Response from A\n")
            inner.send(SIGKILL)
            _ = try inner.waitForExit()
            #expect(try ProgramConnection(port: port).get().status == 502)
            #expect(backend.isRunning && limiter.isRunning)
        }
    }
}

extension ProgramProcess {
    /// Waits until its output contains the text so many times.
    func waitFor(count: Int, of text: String) throws {
        let deadline = ProgramClock.seconds + ProgramClock.patience
        while output.components(of: text) < count {
            guard ProgramClock.seconds < deadline else { throw ProgramTrouble("not \(count) times \"\(text)\"") }
            try waitForMore(until: deadline)
        }
    }

    /// Ends of pipes that it has open.
    var pipeCount: Int {
        guard let directory = opendir("/proc/\(pid)/fd") else { return -1 }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            var target = [UInt8](repeating: 0, count: 64)
            let length = readlink("/proc/\(pid)/fd/\(name)", &target, target.count)
            if length > 0, target.starts(with: "pipe:".utf8) { count += 1 }
        }
        return count
    }
}

extension String {
    fileprivate func components(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}

extension ProgramConnection {
    /// Takes one byte if there is one.
    fileprivate func takeByte() {
        var byte: UInt8 = 0
        if recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT)) == 1 { putBack(byte) }
    }
}
