import CommandKit
import Commands
import Foundation
import KernelStructures
import ShellSession
import Testing

/// The views of everything that runs, and help by chapter.
@Suite struct ViewTests {
    /// A balancer that has lost one of two servers.
    private func failover() -> LabShell {
        let shell = LabShell()
        shell.run("spawn 2 backend --port 8081 --name server")
        shell.run("loadbalancer --backends 8081,8082 --port 80 --name lb")
        shell.run("for i in {1..8}; do curl -s http://localhost/; done")
        shell.run("kill -9 server-2")
        shell.run("sleep 20")
        return shell
    }

    @Test func whyLeadsFromALineToTheCommandAndWhatFailedMeanwhile() {
        let shell = failover()
        let text = shell.output("why Removed 8082")
        #expect(text.contains("[LB] Removed 8082 from pool"))
        // The server is known by its name although nobody answers at its port, and who killed it comes first.
        let chain = text.split(separator: "\n").prefix(4).map { $0.drop { $0 != "#" }.drop { $0 != " " } }
        #expect(chain.map { $0.trimmingPrefix(/[ └]+/) }.map(String.init)[0] == "terminal 1 $ kill -9 server-2")
        #expect(text.contains("└ server-2: killed\n") && text.contains("lb->server-2 refused\n"))
        #expect(text.contains("Set going by:\n") && !text.contains("outside"))
        #expect(text.contains("terminal 1 $ loadbalancer"))
        #expect(text.contains("Before that:"))
        #expect(text.contains("terminal 1 $ kill -9 server-2"))
        #expect(text.contains(" refused\n"))
        let number = text.firstMatch(of: #/#(\d+)  └ lb: \[LB\] Removed/#)!.1
        #expect(shell.output("why \(number)") == text)
        #expect(shell.run("why zebra").status == 1)
        #expect(shell.run("why 999999").status == 1)
        #expect(CommandTests.isJSON(shell.output("why Removed --json")))
    }

    @Test func whyUnderstandsAQuestionInWords() {
        let shell = failover()
        let found = shell.run("why was the server removed from the pool?")
        #expect(found.status == 0 && found.output.contains("[LB] Removed 8082 from pool"))
        #expect(shell.run("why is it so").status == 1)
    }

    @Test func aFaultIsDrawnIntoATraceThatItLiesOn() {
        let shell = LabShell()
        shell.run("spawn 2 backend --port 8081 --name server")
        shell.run("loadbalancer --backends 8081 --port 80 --name lb; sleep 1")
        shell.run("inject latency 5ms lb->server-2; inject latency 5ms lb->server-1; inject latency 1ms client->lb")
        shell.run("curl -s localhost/")
        let drawn = shell.output("trace last")
        #expect(drawn.contains("lb->server-1") && drawn.contains("client->lb") && !drawn.contains("lb->server-2"))
    }

    @Test func watchNeedsNoTime() {
        let shell = failover()
        #expect(shell.run("watch 1 1s nodes").output == shell.run("nodes").output)
        #expect(shell.run("watch nosuch").errorOutput.hasPrefix("watch: 'nosuch' is neither a time"))
        shell.run("watch nodes > out & sleep 3500ms; kill %4")
        #expect(shell.run("grep -c NODE out").output == "4\n")
    }

    /// What is asked of a store of metrics is a request as well, and not the one that is meant.
    @Test func theLastTraceIsTheLastRequestOfSomebody() {
        let shell = LabShell()
        shell.run("backend --port 8081 --name one; metrics-collector --lab")
        shell.run("curl -s localhost:8081/first; curl -s localhost:8081/second; curl -s localhost:8081/health")
        shell.run("metrics query up; sleep 30")
        #expect(shell.output("trace last").contains("one GET /second"))
        #expect(shell.output("trace").contains("collector GET /api/v1/query"))
        let other = LabShell()
        other.run("metrics-collector --lab; metrics query up")
        #expect(other.output("trace last").contains("collector GET /api/v1/query"))
    }

    @Test func theDrawingOfWhoTalksToWhomIsAlwaysTheSame() {
        let shell = failover()
        let svg = shell.output("topo --svg")
        #expect(svg == failover().output("topo --svg"))
        #expect(svg.hasPrefix("<svg xmlns=") && svg.hasSuffix("</svg>\n"))
        #expect(svg.contains("<title>server-1</title>") && svg.contains("4 calls, p99 "))
    }

    @Test func theTimelineHasALaneForEachNodeAndArrowsBetweenThem() {
        let shell = failover()
        let lines = shell.output("timeline").split(separator: "\n").map(String.init)
        #expect(lines[0].split(separator: " ") == ["lab", "server-1", "server-2", "lb"])
        #expect(lines.contains { $0.contains("$ kill -9 server-2") })
        #expect(lines.contains { $0.contains("✗ killed") })
        #expect(lines.contains { $0.contains("◀") && $0.contains("✗ refused") })
        let two = shell.output("timeline server-1 lb --from 30s").split(separator: "\n")
        #expect(two[0].split(separator: " ") == ["server-1", "lb"])
        #expect(shell.output("timeline -t server-1 lb").contains(" B ───"))
        #expect(shell.run("timeline nobody").status == 1)
        #expect(shell.output("timeline -n 3").split(separator: "\n").count == 4)
    }

    @Test func topCountsRequestsFailuresAndTheLastMinuteOfEachNode() throws {
        let shell = failover()
        let rows = shell.output("top").split(separator: "\n").map(String.init)
        #expect(rows[0].split(separator: " ") == ["JOB", "NODE", "PORT", "STATE", "RPS", "P99", "ERR%", "LAST", "60s"])
        #expect(rows.count == 4)
        let dead = try #require(rows.first { $0.contains("server-2") })
        #expect(dead.contains("✗ killed") && dead.contains("-  "))
        #expect(try #require(rows.first { $0.contains("lb") }).hasPrefix("%3"))
        #expect(!shell.output("top --glyphs ascii").contains("●"))
        #expect(CommandTests.isJSON(shell.output("top --json")))
    }

    /// A hundred requests through a balancer over kept connections: each node's are counted, and answers are timed.
    @Test func topCountsEachRequestOfAKeptConnection() throws {
        let shell = LabShell()
        shell.run("spawn 2 backend --port 8081 --name server --latency 20ms")
        shell.run("loadbalancer --backends 8081,8082 --port 80 --name lb; sleep 1")
        shell.run("for i in {1..100}; do curl -s http://localhost/; done")
        for (node, rate) in [("server-1", 5), ("server-2", 5), ("lb", 10)] {
            let row = shell.output("top --json | jq -c '.[] | select(.node == \"\(node)\")'")
            // The balancer's own checks are requests, too.
            let own = "top --json | jq '.[] | select(.node == \"\(node)\")"
            let isRight = shell.output("\(own) | .requests_per_second - \(rate) | . >= 0 and . < 0.5'")
            #expect(isRight == "true\n", "\(row)")
            let time = shell.output("\(own) | .p99_ms | floor'")
            #expect(time == "20\n", "\(row)")
        }
    }

    @Test func aNarrowTerminalLosesColumnsAndNeverBreaksALine() {
        let shell = failover()
        shell.session.renderer.columns = 40
        for view in ["nodes", "top", "jobs", "faults", "stats lb"] {
            for line in shell.output(view).split(separator: "\n") {
                #expect(displayWidth(String(line)) <= 40, "\(view): \(line)")
            }
        }
        #expect(shell.output("nodes").hasSuffix("more columns: --json)\n"))
        #expect(shell.output("nodes --json").contains("\"connections\""))
    }

    @Test func aWaterfallIsDrawnOnAsManyColumnsAsThereAre() {
        let shell = LabShell()
        shell.run("backend --port 8081 --name web --latency 3s &")
        shell.run("loadbalancer --backends localhost:8081 --port 80 --name lb &")
        shell.run("sleep 1; inject latency 2s 'lb->web'; skew web 5s")
        shell.run("curl -s http://localhost/a/path/that/needs/more/than/forty/columns")
        let wide = shell.output("trace last")
        #expect(wide.contains("0") && wide.contains("█"))
        for columns in [30, 40, 53, 79, 80, 200] {
            shell.session.renderer.columns = columns
            for view in ["trace", "trace last", "trace last --clocks", "trace last --glyphs ascii"] {
                // What has no blank in it cannot be broken.
                for line in shell.output(view).split(separator: "\n")
                where line.drop(while: { $0 == " " }).contains(" ") {
                    #expect(displayWidth(String(line)) <= columns, "\(view) on \(columns): \(line)")
                }
            }
            let bars = shell.output("trace last").split(separator: "\n").filter { $0.contains("█") || $0.contains("▒") }
            #expect(bars.count == 3 && (columns != 80 || shell.output("trace last") == wide))
            // Names that are cut on 80 columns are whole where there is room.
            let isWhole = bars.contains { $0.contains("/a/path/that/needs/more/than/forty/columns") }
            #expect(isWhole == (columns > 80), "\(columns)")
        }
        shell.session.renderer.columns = 40
        #expect(shell.output("trace last --clocks").contains("\n(2 more columns: --json)\n"))
    }

    @Test func everyCommandIsInAChapterAndEveryChapterFits() {
        let shell = LabShell()
        let chapters = ["systems", "world", "failures", "time", "views", "files", "session"]
        let contents = shell.output("help")
        #expect(contents.split(separator: "\n", omittingEmptySubsequences: false).count <= 24)
        var named: Set<String> = []
        for chapter in chapters {
            #expect(contents.contains("\n  \(chapter) "))
            let page = shell.output("help \(chapter)")
            for line in page.split(separator: "\n") {
                #expect(displayWidth(String(line)) <= 80)
                if line.hasPrefix("  "), let word = line.split(separator: " ").first { named.insert(String(word)) }
            }
        }
        #expect(Set(Catalog.table.names).subtracting(named) == [])
    }

    @Test func pagesNameTheEssayAndTheTour() {
        let shell = LabShell()
        let page = shell.output("help lockserver")
        #expect(page.contains("how it works: Sources/Engines/Lock/LockStore.swift\n"))
        #expect(page.hasSuffix("to try it: tour lock\n"))
        for name in ["loadbalancer", "messageq", "raft", "sql", "urlshortener", "cluster"] {
            let essay = shell.output("help \(name)").firstMatch(of: #/how it works: (\S+)\n/#)?.1
            #expect(essay.map { isThere(String($0)) } == true, "\(name)")
        }
    }

    private func isThere(_ path: String) -> Bool {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        return FileManager.default.fileExists(atPath: "\(root)/\(path)")
    }

    @Test func awayFromThePromptToursAreListedAndWritten() {
        let shell = LabShell()
        #expect(shell.output("tour").contains("\nlock "))
        #expect(shell.output("tour lock").hasPrefix("# The lock service"))
        #expect(shell.output("tour lock list").contains("1  open   one holder, whoever asks whom\n"))
        #expect(shell.output("tour hashring list") == shell.output("tour hash-ring list"))
        let unknown = shell.run("tour lokc").errorOutput
        #expect(unknown == "tour: there is no tour 'lokc'; did you mean lock?; tour lists them\n")
        for line in ["tour lock 6", "tour lock x", "tour next 2"] { #expect(shell.run(line).status == 2, "\(line)") }
        #expect(shell.run("tour hint").status == 1)
        #expect(shell.run("history").status == 1)
        #expect(shell.run("clear").output == "")
    }
}
