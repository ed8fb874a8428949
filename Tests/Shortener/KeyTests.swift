import KernelJSON
import ShortenerService
import TestSupport
import Testing

@Suite("Keys that hold for one domain, or for one author at a domain")
struct KeyTests {
    private let path = "/rest/v3/short-urls"

    /// A shortener with links of two domains and of none, and a key of each kind.
    private final class Lab {
        let lab: ShortenerLab
        private(set) var fields: [String: String] = [:]

        init() throws {
            lab = try ShortenerLab()
            try make("ops", #""role": "admin""#, with: nil)
            try make("ann", #""role": "author""#, with: "ops")
            try make("shop", #""role": "domain", "domain": "A.example:80""#, with: "ops")
            try make("both", #""role": "author", "domain": "a.example""#, with: "ops")
            for (key, alias, domain) in [
                ("ops", "one", "a.example"), ("ops", "one", "b.example"), ("ops", "plain", ""), ("ann", "of-ann", ""),
                ("both", "two", "b.example"),
            ] {
                let name = domain.isEmpty ? "" : ", \"domain\": \"\(domain)\""
                let body = "{\"longUrl\": \"http://x/\", \"customSlug\": \"\(alias)\", \"tags\": [\"\(alias)\"]\(name)}"
                #expect(try ask(key, "POST", "/rest/v3/short-urls", body).status == 200, "\(alias)")
            }
        }

        func make(_ name: String, _ what: String, with key: String?) throws {
            let body = "{\"name\": \"\(name)\", \(what)}"
            let answer = try lab.ask("POST", "/api/keys", body, fields: key.flatMap { fields[$0] } ?? "")
            guard case .string(let secret)? = answer.json["key"] else { return #expect(Bool(false), "\(answer.body)") }
            fields[name] = "X-Api-Key: \(secret)\r\n"
        }

        @discardableResult
        func ask(_ key: String, _ method: String, _ target: String, _ body: String = "") throws -> ShortenerLab.Answer {
            try lab.ask(method, target, body, fields: fields[key] ?? "")
        }

        /// The keys of the links that a key lists.
        func listed(_ key: String, _ query: String = "") throws -> [String] {
            let answer = try ask(key, "GET", "/rest/v3/short-urls?itemsPerPage=100\(query)").json
            guard case .array(let links)? = answer["shortUrls"]?["data"] else { return ["\(answer)"] }
            #expect(answer["shortUrls"]?["pagination"]?["totalItems"] == .integer(links.count))
            return links.map { link in
                guard case .string(let url)? = link["shortUrl"] else { return "" }
                return String(url.dropFirst("http://".count))
            }.sorted()
        }
    }

    @Test("a domain's key makes and sees links of that domain, whatever is asked for; an author's of it his own alone")
    func seeing() throws {
        let lab = try Lab()
        #expect(try lab.listed("ops").count == 5)
        #expect(try lab.listed("shop") == ["a.example/one", "a.example/two"], "two was made for b.example by a's key")
        #expect(try lab.listed("both") == ["a.example/two"] && lab.listed("ann") == ["s.io/of-ann"])
        #expect(try lab.listed("shop", "&domain=b.example") == [] && lab.listed("shop", "&searchTerm=two").count == 1)
        // Without a domain, and with another one, it is the link of the key's own domain that is meant.
        for query in ["", "?domain=b.example"] {
            #expect(try lab.ask("shop", "GET", "\(path)/one\(query)").json["domain"] == "a.example")
        }
        #expect(try lab.ask("both", "GET", "\(path)/one").status == 404)
        #expect(try lab.ask("shop", "GET", "\(path)/plain").status == 404)
        #expect(try lab.ask("shop", "GET", "/api/stats/one").status == 200)
        #expect(try lab.ask("shop", "GET", "/api/links/one").json["code"] == "a.example/one")
        #expect(try lab.ask("shop", "GET", "/api/links/b.example%2Fone").status == 404)
        #expect(try lab.ask("shop", "GET", "/api/links/b.example%2Fone/history").status == 404)
        #expect(try lab.ask("shop", "GET", "/rest/v3/tags").json["tags"]?["data"] == ["one", "two"])
        #expect(try lab.ask("both", "GET", "/rest/v3/tags").json["tags"]?["data"] == ["two"])
        guard case .array(let links)? = try lab.ask("shop", "GET", "/api/links").json["links"] else { return }
        #expect(links.map { $0["code"] } == ["a.example/one", "a.example/two"])
        let made = try lab.ask("shop", "POST", "/api/shorten", #"{"url": "http://x/", "alias": "three"}"#)
        #expect(made.json["short_url"] == "http://a.example/three")
        let again = try lab.ask(
            "shop", "POST", path, #"{"longUrl": "http://x/", "tags": ["two"], "findIfExists": true}"#)
        #expect(again.json["shortCode"] == "two", "the domain's links are its key's, whoever made them")
        let yourls = "/yourls-api.php?format=json&action="
        let short = try lab.ask("shop", "GET", yourls + "shorturl&url=http://y/&keyword=four").json
        #expect(short["shorturl"] == "http://a.example/four" && short["url"]?["keyword"] == "four")
        #expect(try lab.ask("shop", "GET", yourls + "url-stats&shorturl=four").json["link"]?["url"] == "http://y/")
        #expect(try lab.ask("shop", "GET", yourls + "db-stats").json["db-stats"]?["total_links"] == "4")
    }

    @Test("a domain's key changes and deletes links of that domain, and no other's")
    func changing() throws {
        let lab = try Lab()
        #expect(
            try lab.ask("shop", "PATCH", "\(path)/one?domain=b.example", #"{"longUrl": "http://new/"}"#).status == 200)
        #expect(try lab.ask("ops", "GET", "\(path)/one?domain=b.example").json["longUrl"] == "http://x/")
        #expect(try lab.ask("ops", "GET", "\(path)/one?domain=a.example").json["longUrl"] == "http://new/")
        for key in ["shop", "both"] {
            #expect(try lab.ask(key, "DELETE", "/api/links/b.example%2Fone").status == 404, "\(key)")
            #expect(try lab.ask(key, "PATCH", "/api/links/b.example%2Fone", #"{"title": "t"}"#).status == 404, "\(key)")
            #expect(try lab.ask(key, "DELETE", "\(path)/plain").status == 404, "\(key)")
        }
        #expect(try lab.ask("both", "DELETE", "\(path)/one").status == 404, "it is somebody else's")
        #expect(try lab.ask("shop", "DELETE", "\(path)/two").status == 204)
        #expect(try lab.lab.ask("GET", "/one", host: "b.example").location == "http://x/")
        #expect(try lab.lab.ask("GET", "/two", host: "a.example").status == 410)
    }

    @Test("counts, domains and their redirects: to each key those of what it opens")
    func surroundings() throws {
        let lab = try Lab()
        for (host, code, count) in [("a.example", "one", 3), ("a.example", "two", 2), ("b.example", "one", 1)] {
            for _ in 0..<count { try lab.lab.ask("GET", "/\(code)", host: host) }
        }
        try lab.lab.ask("GET", "/nowhere")
        for (key, visits, orphans) in [("ops", 6, 1), ("shop", 5, 0), ("both", 2, 0), ("ann", 0, 0)] {
            let answer = try lab.ask(key, "GET", "/rest/v3/visits").json["visits"]
            #expect(answer?["nonOrphanVisits"]?["total"] == .integer(visits), "\(key)")
            #expect(answer?["orphanVisits"]?["total"] == .integer(orphans), "\(key)")
            let list = try lab.ask(key, "GET", "/rest/v3/visits/orphan").json["visits"]?["pagination"]
            #expect(list?["totalItems"] == .integer(orphans), "\(key)")
        }
        for (key, names) in [
            ("ops", ["s.io", "a.example", "b.example"]), ("shop", ["a.example"]), ("both", ["a.example"]),
            ("ann", ["s.io"]),
        ] {
            guard case .array(let domains)? = try lab.ask(key, "GET", "/rest/v3/domains").json["domains"]?["data"]
            else { return #expect(Bool(false), "\(key)") }
            #expect(domains.map { $0["domain"] } == names.map { .string($0) }, "\(key)")
        }
        let set = "/rest/v3/domains/redirects"
        for (key, status) in [("shop", 200), ("both", 403), ("ann", 403), ("ops", 200)] {
            let body = #"{"domain": "a.example", "invalidShortUrlRedirect": "http://lost/"}"#
            #expect(try lab.ask(key, "PATCH", set, body).status == status, "\(key)")
        }
        #expect(try lab.ask("shop", "PATCH", set, #"{"domain": "b.example"}"#).status == 403)
        for target in ["/api/keys", "/api/export", "/api/audit"] {
            #expect(try lab.ask("shop", "GET", target).status == 403, "\(target)")
        }
    }

    @Test("keys are kept with what they open; one for the default domain, for none or for all is refused")
    func making() throws {
        let lab = try Lab()
        for (what, place) in [
            (#""role": "domain""#, "domain"), (#""role": "domain", "domain": "s.io""#, "domain"),
            (#""role": "domain", "domain": "a/b""#, "domain"), (#""role": "admin", "domain": "a.example""#, "domain"),
            (#""role": "owner""#, "role"),
        ] {
            let answer = try lab.ask("ops", "POST", "/api/keys", "{\"name\": \"x\", \(what)}")
            #expect(answer.status == 400 && answer.body.contains(place), "\(what): \(answer.body)")
        }
        lab.lab.kill()
        try lab.lab.begin()
        #expect(try lab.listed("shop") == ["a.example/one", "a.example/two"], "what a key opens outlives the process")
        guard case .array(let keys) = try lab.ask("ops", "GET", "/api/keys").json else { return }
        #expect(keys.map { $0["name"] } == ["ann", "both", "ops", "shop"])
        #expect(keys.map { $0["domain"] } == [.null, "a.example", .null, "a.example"])
        #expect(keys.map { $0["role"] } == ["author", "author", "admin", "domain"])
    }
}
