import KernelJSON
import KernelStructures
import KernelWorld
import ShortenerService
import TestSupport
import Testing

@Suite("Visits, rules, keys and the audit over the network")
struct VisitTests {
    @Test("rules are set and asked as Shlink's clients do, and a browser does not keep what depends on them")
    func rules() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/", "alias": "r"}"#)
        let path = "/rest/v3/short-urls/\(code)/redirect-rules"
        let body = #"""
            {"redirectRules": [{"longUrl": "http://ios/",
            "conditions": [{"type": "device", "matchKey": null, "matchValue": "ios"}]},
            {"longUrl": "http://q/", "conditions": [{"type": "query-param", "matchKey": "x", "matchValue": "1"},
            {"type": "language", "matchKey": null, "matchValue": "es"}]}]}
            """#
        let set = try lab.ask("POST", path, body)
        #expect(set.status == 200 && set.json["redirectRules"]?[1]?["priority"] == 2)
        #expect(try lab.ask("GET", path).json == set.json)
        #expect(try lab.ask("GET", "/rest/v3/short-urls/r").json["hasRedirectRules"] == true)
        for _ in 0..<2 {
            let ios = try lab.ask("GET", "/r", fields: "User-Agent: iPhone\r\n")
            #expect(ios.location == "http://ios/" && ios.cacheControl == "private, no-store" && ios.status == 301)
            #expect(try lab.ask("GET", "/r?x=1", fields: "Accept-Language: es-MX\r\n").location == "http://q/")
            #expect(try lab.ask("GET", "/r?x=1").location == "http://a/")
        }
        let conditions = [
            #"{"type": "devise", "matchValue": "ios"}"#, #"{"type": "ip-address", "matchValue": "1.2"}"#, "",
        ]
        let rules = conditions.map { "{\"longUrl\": \"http://b/\", \"conditions\": [\($0)]}" }
        let script = #"{"longUrl": "javascript:x", "conditions": [{"type": "device", "matchValue": "ios"}]}"#
        for bad in rules + [script] {
            #expect(try lab.ask("POST", path, "{\"redirectRules\": [\(bad)]}").status == 400, "\(bad)")
        }
        #expect(try lab.ask("POST", path, "{}").status == 400)
        let export = try lab.ask("GET", "/api/export").body
        let other = try ShortenerLab(seed: 2)
        #expect(try other.ask("POST", "/api/import", export).json["imported"] == 1)
        #expect(try other.ask("GET", "/r", fields: "User-Agent: iPhone\r\n").location == "http://ios/")
        #expect(try lab.ask("POST", path, #"{"redirectRules": []}"#).status == 200)
        #expect(try lab.ask("GET", "/r", fields: "User-Agent: iPhone\r\n").location == "http://a/")
    }

    @Test("the last visits of a link one by one, and those that found none")
    func visits() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/", "alias": "v"}"#)
        for number in 0..<130 {
            try lab.ask("GET", "/\(code)", fields: number % 10 == 0 ? "User-Agent: Googlebot\r\n" : "")
        }
        try lab.ask("GET", "/v", fields: "Referer: https://news.example/x\r\n")
        let path = "/rest/v3/short-urls/v/visits?itemsPerPage=30&page="
        let first = try lab.ask("GET", path + "1").json["visits"]
        #expect(first?["pagination"]?["totalItems"] == 100, "the newest hundred")
        #expect(
            first?["data"]?[0]?["referer"] == "news.example" && first?["data"]?[0]?["visitedUrl"] == "http://s.io/v")
        #expect(try lab.ask("GET", path + "4").json["visits"]?["pagination"]?["itemsInCurrentPage"] == 10)
        #expect(
            try lab.ask("GET", path + "1&excludeBots=true").json["visits"]?["pagination"]?["totalItems"] == 91)
        #expect(try lab.ask("GET", path + "1&startDate=2200-01-01T00:00:00Z").json["visits"]?["data"] == [])
        #expect(try lab.ask("GET", path + "1&startDate=soon").status == 400)

        try lab.ask("GET", "/nowhere", fields: "User-Agent: Googlebot\r\n")
        try lab.ask("GET", "/no%20where")
        try lab.ask("HEAD", "/nowhere")
        let orphans = try lab.ask("GET", "/rest/v3/visits/orphan").json["visits"]
        #expect(orphans?["pagination"]?["totalItems"] == 2)
        #expect(orphans?["data"]?[1]?["visitedUrl"] == "/nowhere" && orphans?["data"]?[1]?["potentialBot"] == true)
        #expect(orphans?["data"]?[0]?["type"] == "regular_404" && orphans?["data"]?[1]?["type"] == "invalid_short_url")
        let totals = try lab.ask("GET", "/rest/v3/visits").json["visits"]
        #expect(
            totals?["nonOrphanVisits"]?["total"] == 131
                && totals?["orphanVisits"] == ["total": 2, "nonBots": 1, "bots": 1])
        #expect(try lab.ask("GET", "/rest/v3/short-urls/none/visits").status == 404)
    }

    @Test("a public shortener leads into nobody's own house, neither by link nor by rule")
    func ownNetworks() throws {
        let lab = try ShortenerLab { $0.allowsPrivate = false }
        #expect(try lab.ask("POST", "/api/shorten", #"{"url": "http://192.168.0.1/"}"#).status == 400)
        let code = try lab.shorten(#"{"url": "http://a.example/"}"#)
        #expect(try lab.ask("PATCH", "/api/links/\(code)", #"{"url": "http://localhost:1/"}"#).status == 400)
        let rule = #"{"longUrl": "http://[::1]/", "conditions": [{"type": "device", "matchValue": "ios"}]}"#
        let path = "/rest/v3/short-urls/\(code)/redirect-rules"
        #expect(try lab.ask("POST", path, "{\"redirectRules\": [\(rule)]}").status == 400)
    }

    @Test("a picture of a link's address, in both forms")
    func pictures() throws {
        let lab = try ShortenerLab()
        _ = try lab.shorten(#"{"url": "http://a/", "alias": "p"}"#)
        #expect(try lab.ask("GET", "/p/qr-code").status == 200)
        #expect(try lab.ask("GET", "/p/qr-code?format=svg&size=100&margin=0").body.contains("<svg"))
        #expect(try lab.ask("GET", "/none/qr-code").status == 404)
        for bad in ["size=49", "size=1001", "margin=-1", "format=gif", "errorCorrection=X", "nope=1"] {
            #expect(try lab.ask("GET", "/p/qr-code?\(bad)").status == 400, "\(bad)")
        }
        #expect(try lab.ask("GET", "/api/stats/p").json["clicks"] == 0, "to draw it is not to visit it")
    }

    @Test("a key of one's own opens one's own links; a key taken back opens nothing; the database learns no key")
    func keys() throws {
        let lab = try ShortenerLab()
        func key(_ name: String, _ role: String, with other: String = "") throws -> String {
            let body = "{\"name\": \"\(name)\", \"role\": \"\(role)\"}"
            guard case .string(let key)? = try lab.ask("POST", "/api/keys", body, fields: other).json["key"] else {
                return ""
            }
            return "X-Api-Key: \(key)\r\n"
        }
        #expect(try lab.ask("POST", "/api/keys", #"{"name": "a"}"#).status == 409, "an author alone would shut all out")
        let admin = try key("ops", "admin")
        let (ann, bob) = (try key("ann", "author", with: admin), try key("bob", "author", with: admin))
        #expect(try lab.ask("GET", "/api/links").status == 401)
        #expect(
            try lab.ask("POST", "/api/shorten", #"{"url": "http://a/", "alias": "of-ann"}"#, fields: ann).status == 201)
        try lab.ask("GET", "/of-ann")
        for (path, seen) in [
            ("/api/links/of-ann", 404), ("/api/stats/of-ann", 404), ("/rest/v3/short-urls/of-ann", 404),
        ] {
            #expect(try lab.ask("GET", path, fields: ann).status == 200)
            #expect(try lab.ask("GET", path, fields: admin).status == 200)
            #expect(try lab.ask("GET", path, fields: bob).status == seen, "\(path)")
        }
        #expect(try lab.ask("DELETE", "/api/links/of-ann", fields: bob).status == 404)
        #expect(try lab.ask("PATCH", "/api/links/of-ann", #"{"title": "x"}"#, fields: bob).status == 404)
        #expect(try lab.ask("GET", "/api/links", fields: bob).json["links"] == [])
        #expect(try lab.ask("GET", "/rest/v3/short-urls", fields: bob).json["shortUrls"]?["data"] == [])
        #expect(try lab.ask("GET", "/api/export", fields: bob).status == 403)
        #expect(try lab.ask("GET", "/api/keys", fields: ann).status == 403)
        #expect(try lab.ask("GET", "/of-ann").status == 301, "visitors need none")
        lab.kill()
        try lab.begin()
        #expect(try lab.ask("GET", "/api/links/of-ann", fields: ann).json["owner"] == "ann", "keys outlive the process")
        #expect(try lab.ask("DELETE", "/api/keys/ann", fields: admin).status == 204)
        #expect(try lab.ask("GET", "/api/links", fields: ann).status == 401)
        #expect(try lab.ask("DELETE", "/api/keys/ann", fields: admin).status == 404)
        #expect(!(try lab.ask("GET", "/api/keys", fields: admin).body.contains(String(admin.dropFirst(11).prefix(20)))))
    }

    @Test("the audit: a stop and a kill lose nothing; after the power failed it says since when clicks may be missing")
    func audit() throws {
        let lab = try ShortenerLab { $0.flushInterval = .seconds(1) }
        let code = try lab.shorten(#"{"url": "http://a/", "alias": "x"}"#)
        for _ in 0..<7 { try lab.ask("GET", "/\(code)") }
        lab.kill()
        try lab.begin()
        func lives() throws -> [JSONValue] {
            guard case .array(let lives)? = try lab.ask("GET", "/api/audit").json["lives"] else { return [] }
            return lives
        }
        let killed = try lives()
        #expect(killed.count == 2 && killed[1]["ending"] == "unannounced" && killed[0]["ending"] == .null)
        guard case .integer(let recovered)? = killed[1]["recovered"], case .integer(let counted)? = killed[1]["clicks"]
        else { return #expect(Bool(false), "\(killed)") }
        #expect(recovered + counted == 7)
        #expect(killed[1]["at_risk_if_power_failed"]?["since"] != nil)

        for _ in 0..<3 { try lab.ask("GET", "/\(code)") }
        lab.world.pass(.seconds(2))
        let before = lab.world.now
        for _ in 0..<4 { try lab.ask("GET", "/\(code)") }
        lab.world.nodes["urls"]?.end(.poweredOff)
        lab.world.pass(.milliseconds(5))
        try lab.begin()
        let audit = try lab.ask("GET", "/api/audit").json
        #expect(audit["differences"] == [] && audit["waiting"] == 0)
        guard case .integer(let clicks)? = audit["clicks"],
            case .string(let since)? = audit["lives"]?[1]?["at_risk_if_power_failed"]?["since"],
            let since = LabTime(parsing: since)
        else { return #expect(Bool(false), "\(audit)") }
        #expect((10...14).contains(clicks), "what was synced is there")
        #expect(since <= before, "what came after that may be missing: \(since)")
        lab.host.drain { lab.world.nodes["urls"]?.end(.exited) }
        lab.world.pass(.seconds(1))
        try lab.begin()
        #expect(try lives()[1]["ending"] == "stopped")
    }
}
