import KernelJSON
import KernelStorage
import KernelStructures
import Testing

@testable import ShortenerEngine
@testable import ShortenerService

@Suite("What is stored, and what is sent")
struct StoredFormTests {
    private let now = LabTime(parsing: "2024-01-15T10:00:00.123456789Z")!

    private func page(_ random: inout SeededRandom) -> ClickQueue.Page {
        let clicks = (0..<random.below(5)).map { index in
            let click = Click(
                code: ["go", Click.orphan("/\u{E9}\"\n"), ""][random.below(3)], time: now, referrer: "a.example",
                agent: VisitorAgent.allCases[random.below(VisitorAgent.allCases.count)], visitor: random.next())
            return (end: ClickPosition(segment: 3, offset: index * 50), click: click)
        }
        return ClickQueue.Page(
            database: random.chance(0.5) ? random.next() : nil, node: "urls \u{2603}", life: random.below(100),
            begin: ClickPosition(segment: 2, offset: 7),
            end: ClickPosition(segment: 3, offset: 999), syncedAt: now, clicks: clicks)
    }

    @Test("a page of clicks reads as it was written, and one that was damaged is another page or none")
    func pages() throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<200 {
            let bytes = page(&random).json.bytes()
            let read = try #require(ClickQueue.Page(bytes))
            #expect(read.json.bytes() == bytes)
            var damaged = bytes
            damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next())
            if let other = ClickQueue.Page(damaged) {
                #expect(try #require(ClickQueue.Page(other.json.bytes())).json == other.json)
            }
            #expect(ClickQueue.Page(Array(bytes.dropLast(1 + random.below(bytes.count - 1)))) == nil)
        }
    }

    @Test("the last visits are the newest hundred, read as they were written, and what is none holds none")
    func recent() {
        var visits = RecentVisits(stored: nil)
        for number in 0..<130 {
            visits = RecentVisits(stored: visits.stored).adding([
                Click(code: "c", time: now + .seconds(number), referrer: "r\(number)", agent: .bot, visitor: 1)
            ])
        }
        #expect(
            visits.visits.count == 100 && visits.visits.first?.referrer == "r30" && visits.visits.last?.agent == .bot)
        for bad in ["", "{}", "[1, [2], [\"x\", \"y\", \"z\"]]", "[[]]", "nonsense"] {
            #expect(RecentVisits(stored: bad).visits.isEmpty, "\(bad)")
        }
    }

    @Test("a link with all that it can have comes back from the database's row and from the shared cache")
    func links() throws {
        var link = Link(code: "c", target: "http://a/", createdAt: LabTime(nanoseconds: 1_000_000))
        link.validSince = LabTime(nanoseconds: 2_000_000)
        link.maxVisits = 7
        link.title = "t \u{1F600}"
        link.tags = ["x", "y"]
        link.owner = "ann"
        link.redirect = .temporary
        link.rules = [
            RedirectRule(
                target: "http://b/",
                conditions: [
                    .device(.ios), .language("es"), .query(name: "a", value: ""), .anyQuery(name: "b"),
                    .emptyQuery(name: "c"), .address(try #require(VisitorAddressPattern("10.0.*.*"))),
                    .before(LabTime(nanoseconds: 5_000_000)), .after(LabTime(nanoseconds: 4_000_000)),
                ])
        ]
        let bytes = LinkTables.encoded(link)
        #expect(LinkTables.link(encoded: bytes) == link)
        var random = SeededRandom(seed: 9)
        for _ in 0..<500 {
            var damaged = bytes
            damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next())
            if let other = LinkTables.link(encoded: damaged) {
                #expect(LinkTables.link(encoded: LinkTables.encoded(other)) == other)
            }
        }
    }

    @Test("a database of an earlier version gets the columns that it lacks, and keeps its links")
    func earlier() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        lab.kill()
        let links = try SQLiteLinks(node: lab.world.node("urls"), path: "/links.db") { _ in }
        var dropCount = 0
        let columns = [("links", "rules"), ("links", "owner"), ("keys", "domain"), ("domains", "expired_url")]
        for (table, column) in columns {
            links.run("ALTER TABLE url_\(table) DROP COLUMN \(column)") { result in
                if case .success = result { dropCount += 1 }
            }
        }
        lab.world.pass(.milliseconds(50))
        links.close()
        lab.kill()
        try lab.begin()
        #expect(dropCount == columns.count)
        #expect(try lab.ask("GET", "/\(code)").location == "http://a/")
        #expect(try lab.ask("GET", "/api/links/\(code)").json["rules"] == [])
        #expect(try lab.ask("GET", "/api/keys").json == [])
        #expect(try lab.ask("GET", "/rest/v3/domains").status == 200)
    }

    @Test("what a life has handed on is known to the next one, and nonsense is nothing")
    func handedOn() throws {
        let disk = NodeDisk(base: SimulatedDisk(), owner: DiskOwner(1))
        let log = try ClickLog(disk: disk, directory: "/clicks")
        #expect(log.handedOn() == nil)
        try log.setHandedOn(ClickPosition(segment: 3, offset: 70_000))
        #expect(log.handedOn() == ClickPosition(segment: 3, offset: 70_000))
        let file = try disk.open("/clicks/handed-on", [.write, .create, .truncate])
        try file.write([1, 2], at: 0)
        #expect(log.handedOn() == nil)
    }
}
