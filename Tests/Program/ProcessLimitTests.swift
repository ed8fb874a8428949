import Glibc
import Testing

extension ProgramHeavyTests {
    /// What many bytes and many connections cost: memory and descriptors, read from /proc.
    @Suite struct ProcessLimitTests {
        private static let mebibyte = 1 << 20

        @Test("a large body passes the balancer, fast to slow, in flat memory", arguments: ["http", "tcp"])
        func largeBody(mode: String) throws {
            let backendPort = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", port: backendPort)
            let port = try ProgramPort.free()
            let balancer = try ProgramProcess.service(
                "loadbalancer", "--backends", "\(backendPort)", "--mode", mode, port: port)
            let count = ProgramSize.full(2 << 30, else: 512 << 20)
            let answer = try ProgramConnection(port: port).get("/bytes/\(count)", keepsBody: false, within: 120)
            #expect(answer.bodyByteCount == count)
            try expectFlatMemory(balancer, backend)
        }

        @Test("a large upload passes the balancer in flat memory")
        func largeUpload() throws {
            let backendPort = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
            let port = try ProgramPort.free()
            let balancer = try ProgramProcess.service("loadbalancer", "--backends", "\(backendPort)", port: port)
            let connection = try ProgramConnection(port: port)
            let piece = [UInt8](repeating: 120, count: Self.mebibyte)
            let pieces = ProgramSize.full(1024, else: 256)
            try connection.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: \(pieces * piece.count)\r\n\r\n")
            for _ in 0..<pieces { try connection.send(piece) }
            #expect(try connection.response(within: 120).body == "Response from A\n")
            try expectFlatMemory(balancer, backend)
        }

        @Test("a client that stops reading stops the sender, too: nothing piles up in the balancer")
        func stuckReader() throws {
            let backendPort = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", port: backendPort)
            let port = try ProgramPort.free()
            let balancer = try ProgramProcess.service("loadbalancer", "--backends", "\(backendPort)", port: port)
            let readers = try (0..<20).map { _ in try ProgramConnection(port: port) }
            for reader in readers { try reader.send("GET /bytes/100MiB HTTP/1.1\r\nHost: test\r\n\r\n") }
            // Others are served meanwhile.
            let other = try ProgramConnection(port: port)
            for _ in 0..<50 { #expect(try other.get().status == 200) }
            #expect(try readers[0].response(keepsBody: false).bodyByteCount == 100 * Self.mebibyte)
            try expectFlatMemory(balancer, backend)
        }

        // @covers LB-C1
        @Test("10,000 idle connections cost little memory, and another client still gets its answers")
        func idleConnections() throws {
            try raiseDescriptors(to: 10_200)
            let port = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", "--name", "A", port: port)
            let active = try ProgramConnection(port: port)
            #expect(try active.get().status == 200)
            let before = try backend.memoryBytes("VmRSS")
            let count = 10_000
            var connections: [ProgramConnection] = []
            for number in 0..<count {
                // A few source addresses, so that the ports of one do not run short.
                let source = UInt32(127 << 24 | 1 << 8 | (1 + number % 4))
                connections.append(try ProgramConnection(port: port, source: source))
                // Each asks once: a connection that has worked, and is kept.
                _ = try connections[number].get()
            }
            #expect(backend.descriptorCount > count)
            let began = ProgramClock.seconds
            for _ in 0..<1000 { #expect(try active.get().body == "Response from A\n") }
            let seconds = ProgramClock.seconds - began
            let perConnection = (try backend.memoryBytes("VmRSS") - before) / count
            print("10,000 idle connections: \(perConnection) bytes each; 1,000 requests beside them in \(seconds) s")
            #expect(perConnection < 8 * 1024)
            connections = []
            #expect(ProgramClock.wait { backend.descriptorCount < 100 })
            #expect(try active.get().status == 200)
        }

        @Test("thousands of clients that break off leave no descriptor behind", arguments: ["backend", "http", "tcp"])
        func aborted(mode: String) throws {
            let backendPort = try ProgramPort.free()
            let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
            var processes = [backend]
            var port = backendPort
            if mode != "backend" {
                port = try ProgramPort.free()
                processes.append(
                    try .service(
                        "loadbalancer", "--backends", "\(backendPort)", "--mode", mode, port: port))
            }
            let steady = try ProgramConnection(port: port)
            #expect(try steady.get().status == 200)
            let before = processes.last!.descriptorCount
            for number in 0..<ProgramSize.full(10_000, else: 2000) {
                let connection = try ProgramConnection(port: port)
                switch number % 5 {
                case 0: break
                case 1: try connection.send("GET / HTT")
                case 2: try connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                case 3: try connection.send("GET /bytes/10MiB HTTP/1.1\r\nHost: test\r\n\r\n")
                default: try connection.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nonly this")
                }
                if number % 2 == 0 { connection.resetAtEnd() }
            }
            #expect(try steady.get().body == "Response from A\n")
            if processes.count > 1 {
                // With the backend go the connections that the balancer keeps open to it, as it should; what is left
                // is what clients left behind.
                backend.send(SIGKILL)
                processes.removeFirst()
            }
            let isBack = ProgramClock.wait { processes[0].descriptorCount <= before }
            #expect(isBack, "\(before) descriptors before, \(processes[0].descriptorCount) after")
            #expect(processes[0].isRunning)
        }

        private func expectFlatMemory(_ processes: ProgramProcess...) throws {
            for process in processes {
                // Beyond the pages of the program's own file, which grows with what is in it.
                let peak = try process.memoryBytes("VmHWM") - process.memoryBytes("RssFile")
                #expect(peak < 16 * Self.mebibyte, "\(peak / Self.mebibyte) MiB at its peak")
            }
        }

        private func raiseDescriptors(to count: UInt) throws {
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            guard limit.rlim_max >= count else {
                throw ProgramTrouble("needs \(count) descriptors; this user may have \(limit.rlim_max) (ulimit -Hn)")
            }
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
    }
}
