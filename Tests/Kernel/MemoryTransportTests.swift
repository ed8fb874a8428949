import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("Connections in memory")
struct MemoryTransportTests {
    @Test("bytes go both ways in order, one hop later")
    func echo() throws {
        let pair = try Pair()
        #expect(pair.client.events == ["opened"] && pair.server.events == ["opened"])
        pair.client.stream.write("hello ")
        pair.client.stream.write("world")
        let sent = pair.world.now
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.text == "hello world")
        #expect(pair.server.times.last == sent + MemoryTransport.hopLatency)
        pair.server.stream.write("back")
        pair.world.pass(.milliseconds(1))
        #expect(pair.client.text == "back")
        #expect(pair.client.stream.bytesReceived == 4 && pair.server.stream.bytesReceived == 11)
    }

    @Test("what is written before the connection is open is sent when it is")
    func early() throws {
        let world = memoryWorld()
        let acceptor = try Acceptor(world.node("b"))
        let client = try world.node("a").dial("b")
        client.stream.write("early")
        client.stream.finish()
        world.pass(.milliseconds(1))
        #expect(acceptor.first.text == "early" && acceptor.first.events == ["opened", "received", "ended"])
    }

    @Test("half-closing leaves the other direction open, and both ends together close in good order")
    func halfClose() throws {
        let pair = try Pair()
        pair.client.stream.write("question")
        pair.client.stream.finish()
        pair.client.stream.write("never sent")
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.events == ["opened", "received", "ended"] && pair.server.text == "question")
        pair.server.stream.write("answer")
        pair.server.stream.finish()
        pair.world.pass(.milliseconds(1))
        #expect(
            pair.client.events == ["opened", "received", "ended", "closed finished"] && pair.client.text == "answer")
        #expect(pair.server.events.last == "closed finished")
        #expect(pair.world.network.openStreamCount == 0)
    }

    @Test("closing sends everything first, then an end")
    func close() throws {
        let pair = try Pair()
        let bytes = randomBytes(900_000, seed: 1)
        pair.client.stream.write(bytes)
        pair.client.stream.close()
        pair.server.closesAtEnd = true
        pair.world.pass(.seconds(1))
        #expect(pair.server.bytes == bytes)
        #expect(pair.server.events.suffix(1) == ["ended"] || pair.server.events.contains("ended"))
        #expect(pair.client.events == ["opened"], "who has closed hears no more")
        #expect(pair.world.network.openStreamCount == 0)
    }

    @Test("a closed end waits two seconds for a silent peer, no longer")
    func linger() throws {
        let pair = try Pair()
        pair.client.stream.close()
        pair.world.pass(.milliseconds(1900))
        #expect(pair.world.network.openStreamCount == 2)
        pair.world.pass(.milliseconds(200))
        #expect(pair.world.network.openStreamCount == 1 && pair.server.stream.isOpen)
        pair.server.stream.write("too late")
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.lastEvent == "closed reset", "whoever writes to a closed end is reset")
    }

    @Test("aborting resets the peer")
    func abort() throws {
        let pair = try Pair()
        pair.client.stream.abort()
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.lastEvent == "closed reset" && pair.client.events == ["opened"])
        #expect(pair.world.network.openStreamCount == 0)
    }

    @Test("a killed process: an end, then a reset for what is written to it; a reset at once if it left bytes unread")
    func kill() throws {
        let pair = try Pair()
        pair.b.end(.killed)
        pair.world.pass(.milliseconds(1))
        #expect(pair.client.lastEvent == "ended")
        pair.client.stream.write("anyone there?")
        pair.world.pass(.milliseconds(1))
        #expect(pair.client.lastEvent == "closed reset")

        let unread = try Pair()
        unread.server.stream.pauseReading()
        unread.client.stream.write("unread")
        unread.world.pass(.milliseconds(1))
        unread.b.end(.killed)
        unread.world.pass(.milliseconds(1))
        #expect(unread.client.events == ["opened", "closed reset"])
    }

    @Test("what a process had sent before it was killed still arrives, what it had not does not")
    func killedSender() throws {
        let pair = try Pair()
        pair.server.stream.write(randomBytes(1_000_000, seed: 2))
        pair.b.end(.killed)
        pair.world.pass(.seconds(1))
        #expect(pair.client.bytes == Array(randomBytes(1_000_000, seed: 2).prefix(MemoryTransport.windowBytes)))
        #expect(pair.client.lastEvent == "ended")
    }

    @Test("nobody listening refuses, and so does a node that has ended")
    func refused() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        let noPort = try a.dial("b", 81)
        let nobody = try a.dial("127.9.9.9", 80)
        let localhost = try a.dial("localhost", 80)
        world.pass(.milliseconds(1))
        #expect([noPort, nobody, localhost].allSatisfy { $0.events == ["closed refused"] })
        _ = try Acceptor(b)
        b.end(.killed)
        let dead = try a.dial("b")
        world.pass(.milliseconds(1))
        #expect(dead.events == ["closed refused"])
        #expect(throws: NetworkError.unresolved(host: "nowhere")) { try a.dial("nowhere") }
        #expect(throws: NetworkError.unresolved(host: "host.internal")) { try a.dial("host.internal") }
    }

    @Test("a node without power is silent: 127 seconds to give up a connection, seven attempts in between")
    func dark() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        let acceptor = try Acceptor(b)
        let before = try a.dial("b")
        world.pass(.milliseconds(1))
        b.end(.poweredOff)
        let start = world.now
        let late = try a.dial("b")
        world.pass(.seconds(126))
        #expect(late.events.isEmpty && before.events == ["opened"], "no goodbye of any kind")
        world.pass(.milliseconds(1001))
        #expect(late.events == ["closed timedOut"] && late.times == [start + .seconds(127)])
        before.stream.write("hello?")
        world.pass(.seconds(10))
        #expect(before.events == ["opened"])
        b.start()
        world.pass(.seconds(1))
        #expect(before.lastEvent == "closed reset", "the node is back and knows nothing of the old connection")
        #expect(acceptor.accepted.count == 1)
    }

    @Test("a SYN that is repeated finds the node that has come back meanwhile")
    func backInTime() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        b.end(.poweredOff)
        let client = try a.dial("b")
        world.pass(.seconds(10))
        b.start()
        _ = try Acceptor(b)
        world.pass(.milliseconds(4900))
        #expect(client.events.isEmpty)
        world.pass(.milliseconds(200))
        #expect(client.events == ["opened"], "attempts leave at 0, 1, 3, 7 and 15 seconds")
    }

    @Test("a frozen node's kernel accepts for it; the process hears of all that when it is thawed")
    func frozenListener() throws {
        let pair = try Pair()
        pair.b.freeze()
        let late = try pair.a.dial("b")
        late.stream.write("waiting")
        let gone = try pair.a.dial("b")
        pair.client.stream.write("hello")
        pair.world.pass(.seconds(300))
        gone.stream.abort()
        pair.world.pass(.seconds(300))
        #expect(late.events == ["opened"] && pair.server.events == ["opened"] && pair.acceptor.accepted.count == 1)
        pair.b.thaw()
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.text == "hello")
        #expect(pair.acceptor.accepted[1].text == "waiting")
        #expect(pair.acceptor.accepted[2].lastEvent == "closed reset", "it was taken back while it waited")
        #expect(pair.world.network.openStreams.count == 4)
    }

    @Test("a client that was frozen before its connection opened loses nothing that was sent to it")
    func frozenClient() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        let acceptor = try Acceptor(b)
        acceptor.prepare = { $0.stream.write("greeting") }
        let client = try a.dial("b")
        a.freeze()
        world.pass(.seconds(1))
        #expect(client.events.isEmpty && acceptor.accepted.count == 1)
        a.thaw()
        world.pass(.seconds(1))
        #expect(client.events == ["opened", "received"] && client.text == "greeting")
    }

    @Test("a frozen reader pushes back on its sender through a window of fixed size")
    func backPressure() throws {
        let pair = try Pair()
        pair.b.freeze()
        var written = 0
        while !pair.client.stream.isCongested, written < 10_000_000 {
            pair.client.stream.write([UInt8](repeating: 7, count: 16_384))
            written += 16_384
        }
        pair.world.pass(.seconds(10))
        #expect(written <= MemoryTransport.windowBytes + Stream.highWaterBytes + 16_384)
        #expect(pair.client.stream.unsentByteCount == written - MemoryTransport.windowBytes)
        #expect(!pair.client.events.contains("drained"))
        pair.b.thaw()
        pair.world.pass(.seconds(1))
        #expect(pair.server.bytes.count == written && pair.client.events.last == "drained")
    }

    @Test("a producer that waits for drained stays below the high-water mark plus one write, and loses nothing")
    func producer() throws {
        let pair = try Pair()
        let bytes = randomBytes(3_000_000, seed: 3)
        var sent = 0
        var largest = 0
        func produce(_ recorder: Recorder) {
            while sent < bytes.count, !recorder.stream.isCongested {
                let end = min(bytes.count, sent + 10_000)
                recorder.stream.write(Array(bytes[sent..<end]))
                sent = end
                largest = max(largest, recorder.stream.unsentByteCount)
            }
        }
        pair.client.onDrained = produce
        produce(pair.client)
        pair.world.pass(.seconds(5))
        #expect(pair.server.bytes == bytes)
        #expect(largest <= Stream.highWaterBytes + 10_000)
    }

    @Test("paused reading stops everything, the end included")
    func pausing() throws {
        let pair = try Pair()
        pair.server.stream.pauseReading()
        pair.client.stream.write("later")
        pair.client.stream.finish()
        pair.world.pass(.seconds(1))
        #expect(pair.server.events == ["opened"])
        pair.server.stream.resumeReading()
        #expect(pair.server.events == ["opened", "received", "ended"])
    }

    @Test("the first node on a port owns localhost, and passes it on when it is gone")
    func localhost() throws {
        let world = memoryWorld()
        let (a, b) = (world.node("a"), world.node("b"))
        let first = try Acceptor(a)
        let second = try Acceptor(b)
        #expect(throws: NetworkError.addressInUse(Endpoint(a.address, 80))) { try Acceptor(a) }
        #expect(first.listener.ownsLocalhost && !second.listener.ownsLocalhost)
        _ = try world.nodes.startClient().dial("LOCALHOST")
        world.pass(.milliseconds(1))
        #expect(first.accepted.count == 1 && second.accepted.isEmpty)
        first.listener.close()
        #expect(world.network.localhostOwner(of: 80) == nil)
        let third = try Acceptor(world.node("c"))
        #expect(third.listener.ownsLocalhost)
        #expect(first.first.stream.isOpen, "closing a listener leaves its connections open")
    }
}
