import Foundation
import KernelStructures
import KernelWorld
import ShellSession
import Testing

/// `export run.html`: a session as one page that needs nobody. What the page does is tested in a browser.
@Suite("Exporting a session") struct RunExportTests {
    private final class Host: HostFiles {
        var files: [String: [UInt8]] = [:]
        func read(_ path: String) throws(CommandFailure) -> [UInt8] { throw CommandFailure("nothing is read") }
        func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) { files[path] = bytes }
    }

    /// What a page has brought along.
    private struct Exported {
        let page: String
        let byteCount: Int
        let data: [String: Any]
        let notice: String

        struct Event {
            let number: Int
            let microseconds: Int
            let kind: String
            let place: String
            let target: String?
            let text: String
            let cause: Int
        }

        var events: [Event] {
            let columns = data["events"] as! [String: [Int]]
            let names = data["names"] as! [String]
            let texts = data["texts"] as! [String]
            let kinds = data["kinds"] as! [String]
            var number = 0
            var time = 0
            return columns["n"]!.indices.map { index in
                number += columns["n"]![index]
                time += columns["t"]![index]
                let target = columns["b"]![index]
                let back = columns["c"]![index]
                return Event(
                    number: number, microseconds: time, kind: kinds[columns["k"]![index]],
                    place: names[columns["a"]![index]], target: target < 0 ? nil : names[target],
                    text: texts[columns["x"]![index]], cause: back == 0 ? 0 : number - back)
            }
        }
    }

    private func export(_ shell: LabShell) throws -> Exported {
        let host = Host()
        shell.session.hostFiles = host
        let outcome = shell.run("export run.html")
        #expect(outcome.status == 0, "\(outcome.errorOutput)")
        let bytes = try #require(host.files["run.html"])
        let page = String(decoding: bytes, as: UTF8.self)
        let start = try #require(page.range(of: "<script type=\"application/json\" id=\"data\">")).upperBound
        let end = try #require(page.range(of: "</script>", range: start..<page.endIndex)).lowerBound
        let data = try JSONSerialization.jsonObject(with: Data(page[start..<end].utf8)) as? [String: Any]
        return Exported(
            page: page, byteCount: bytes.count, data: try #require(data), notice: outcome.notices.joined())
    }

    @Test func aPageHasWhatHappenedWhereAndWhy() throws {
        let shell = LabShell()
        shell.run("spawn 2 backend --port 8081 --name server")
        shell.run("loadbalancer --backends 8081,8082 --port 80 --name lb")
        shell.run("curl -s localhost/")
        shell.run("kill -9 server-2")
        shell.run("advance 20s")
        let exported = try export(shell)
        let events = exported.events
        #expect(exported.page.hasPrefix("<!doctype html>") && !exported.page.contains("src="))
        #expect(exported.notice.hasPrefix("run.html: \(events.count) events, "))
        let removed = try #require(events.first { $0.text == "[LB] Removed 8082 from pool" })
        #expect(removed.place == "lb" && removed.kind == "log" && removed.microseconds > 9_000_000)
        // From there to the connection that was refused, to the node that was killed, to whoever typed it.
        let byNumber = Dictionary(uniqueKeysWithValues: events.map { ($0.number, $0) })
        var chain = [removed]
        while let cause = byNumber[chain.last!.cause] { chain.append(cause) }
        #expect(
            chain.map { "\($0.place)>\($0.target ?? "") \($0.text)" }.reversed() == [
                "lab> $ kill -9 server-2", "server-2> killed", "lb>server-2 refused", "lb> [LB] Removed 8082 from pool",
            ])
        #expect(events.contains { $0.kind == "message" && $0.target == "lb" })
        let traffic = exported.data["traffic"] as! [String: Any]
        #expect((traffic["count"] as! [Int]).reduce(0, +) == events.count { $0.kind == "message" })
    }

    @Test func whatTheLabSaysIsNeverMarkup() throws {
        let shell = LabShell()
        shell.run("backend --port 8081 --name one")
        shell.world.nodes["one"]!.log("WEB", "</script><script>alert(1)</script> \u{0} \u{2028}")
        let exported = try export(shell)
        #expect(exported.events.contains { $0.text.contains("</script><script>alert(1)") })
        #expect(!exported.page.contains("<script>alert"))
    }

    @Test func aPageStaysSmallAndSaysWhatIsMissing() throws {
        let shell = LabShell()
        shell.run("spawn 3 backend --port 8081 --name server")
        let start = shell.world.journal.count
        for number in 0..<120_000 {
            if number % 1000 == 0 { shell.world.advance(by: .seconds(30)) }
            if number % 4 == 0 {
                shell.world.nodes["server-1"]!.log("WEB", "request \(number) took \(number % 97) <units> of something")
            } else {
                shell.world.journal.record(
                    .message(connection: 1, from: "server-\(number % 3 + 1)", to: "lb", byteCount: number % 5000),
                    node: "server-1")
            }
        }
        #expect(shell.world.journal.count - start >= 120_000)
        let exported = try export(shell)
        #expect(exported.byteCount < 2_000_000)
        let leftOut = exported.data["left_out"] as! String
        #expect(leftOut.hasPrefix("for want of room it has ") && leftOut.hasSuffix(", evenly over the time"))
        #expect(exported.notice.hasSuffix(leftOut))
        // All of the time is there, and all messages are counted.
        let events = exported.events
        #expect(events.last!.microseconds - events.first!.microseconds > 2_900_000_000)
        let traffic = exported.data["traffic"] as! [String: Any]
        #expect((traffic["count"] as! [Int]).reduce(0, +) == 75_000)
        #expect((traffic["count"] as! [Int]).count <= 15_000)
    }

    @Test func anEmptyLabIsAPageToo() throws {
        #expect(try export(LabShell()).events.count == 1)
    }

    @Test func everythingElseIsTheShellsOwnExport() throws {
        let shell = LabShell()
        shell.run("export PORT=8080 NAME=x.html")
        #expect(shell.output("echo $PORT $NAME") == "8080 x.html\n")
        let refused = shell.run("export run.html")
        #expect(refused.status == 1 && refused.errorOutput == "export: the host's files are not touched here\n")
    }
}
