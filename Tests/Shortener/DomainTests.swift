import KernelJSON
import KernelStructures
import KernelWorld
import ShortenerEngine
import TestSupport
import Testing

@Suite("Shlink's API: domains, lengths of codes, and links that are there already")
struct DomainTests {
    private let path = "/rest/v3/short-urls"

    @Test("one code leads elsewhere at each domain, and where a domain has none, where it leads everywhere")
    func codes() throws {
        let lab = try ShortenerLab()
        func make(_ target: String, _ domain: String?) throws -> ShortenerLab.Answer {
            let name = domain.map { ", \"domain\": \"\($0)\"" } ?? ""
            return try lab.ask("POST", path, "{\"longUrl\": \"\(target)\", \"customSlug\": \"go\"\(name)}")
        }
        #expect(try make("http://all/", nil).json["domain"] == .null)
        let own = try make("http://own/", "A.Example:80").json
        #expect(own["domain"] == "a.example" && own["shortCode"] == "go" && own["shortUrl"] == "http://a.example/go")
        #expect(try make("http://port/", "a.example:8080").json["shortUrl"] == "http://a.example:8080/go")
        let again = try make("http://x/", "a.example")
        #expect(again.status == 400 && again.json["type"] == "https://shlink.io/api/error/non-unique-slug")
        #expect(try make("http://x/", "s.io").status == 400, "the host that was asked is the default domain")
        for bad in ["", "a/b", "a b", "u@a", "a?b"] { #expect(try make("http://x/", bad).status == 400, "'\(bad)'") }
        for _ in 0..<2 {
            for (host, target) in [
                ("a.example", "http://own/"), ("A.EXAMPLE", "http://own/"), ("a.example:8080", "http://port/"),
                ("s.io", "http://all/"), ("other.example", "http://all/"),
            ] {
                #expect(try lab.ask("GET", "/go", host: host).location == target, "\(host)")
            }
        }
        let plain = try lab.shorten(#"{"url": "http://plain/", "alias": "plain"}"#)
        #expect(try lab.ask("GET", "/\(plain)", host: "a.example").location == "http://plain/")
        #expect(
            try lab.ask("GET", "/go+", host: "a.example").body.contains("http://a.example/go leads to\nhttp://own/"))
        func visits(_ query: String) throws -> JSONValue? {
            try lab.ask("GET", "\(path)/go\(query)").json["visitsSummary"]?["total"]
        }
        #expect(try visits("?domain=a.example") == 4 && visits("?domain=a.example:8080") == 2 && visits("") == 4)
        #expect(
            try lab.ask("GET", "\(path)/go/visits?domain=a.example").json["visits"]?["pagination"]?["totalItems"] == 4)
    }

    @Test("what is changed and deleted is the domain's link, and a list has those of a domain")
    func changing() throws {
        let lab = try ShortenerLab()
        for domain in ["", ", \"domain\": \"a.example\"", ", \"domain\": \"b.example\""] {
            try lab.ask(
                "POST", path, "{\"longUrl\": \"http://x/\", \"customSlug\": \"go\", \"tags\": [\"k\"]\(domain)}")
        }
        #expect(try lab.ask("PATCH", "\(path)/go?domain=a.example", #"{"longUrl": "http://new/"}"#).status == 200)
        #expect(try lab.ask("GET", "\(path)/go").json["longUrl"] == "http://x/")
        #expect(try lab.ask("GET", "/go", host: "a.example").location == "http://new/")
        let rules =
            #"{"redirectRules": [{"longUrl": "http://ios/", "conditions": [{"type": "device", "matchValue": "ios"}]}]}"#
        #expect(try lab.ask("POST", "\(path)/go/redirect-rules?domain=b.example", rules).status == 200)
        #expect(
            try lab.ask("GET", "/go", fields: "User-Agent: iPhone\r\n", host: "b.example").location == "http://ios/")
        func count(_ query: String) throws -> JSONValue? {
            try lab.ask("GET", "\(path)?\(query)").json["shortUrls"]?["pagination"]?["totalItems"]
        }
        #expect(try count("") == 3 && count("domain=a.example") == 1 && count("domain=DEFAULT") == 1)
        #expect(try count("domain=c.example") == 0 && count("tags[]=k&tags[]=none") == 3)
        #expect(try count("tags[]=k&tags[]=none&tagsMode=all") == 0 && count("startDate=2200-01-01T00:00:00Z") == 0)
        let first = try lab.ask("GET", "\(path)?orderBy=longUrl-ASC").json["shortUrls"]?["data"]?[0]
        #expect(first?["longUrl"] == "http://new/" && first?["domain"] == "a.example")
        for bad in ["orderBy=nothing", "orderBy=title-UP", "tagsMode=some", "startDate=soon", "domain=a/b"] {
            let answer = try lab.ask("GET", "\(path)?\(bad)")
            #expect(answer.status == 400 && answer.json["invalidElements"] != nil, "\(bad)")
        }
        #expect(try lab.ask("DELETE", "\(path)/go?domain=a.example").status == 204)
        #expect(try lab.ask("GET", "/go", host: "a.example").status == 410, "over, and not somebody else's")
        #expect(try lab.ask("GET", "/go", host: "s.io").location == "http://x/")
        let gone = try lab.ask("GET", "\(path)/none?domain=a.example")
        #expect(gone.status == 404 && gone.json["domain"] == "a.example")
        let export = try lab.ask("GET", "/api/export").body
        let other = try ShortenerLab(seed: 2)
        #expect(try other.ask("POST", "/api/import", export).json["imported"] == 3)
        #expect(try lab.ask("GET", "/api/links/b.example%2Fgo").json["short_url"] == "http://b.example/go")
    }

    @Test(
        "a domain leads those elsewhere who find nothing: at its root, at a code that there is not, at any other path")
    func redirects() throws {
        let lab = try ShortenerLab { $0.fallback = "http://over/" }
        let set = "/rest/v3/domains/redirects"
        let body = #"""
            {"domain": "a.example", "baseUrlRedirect": "http://base/", "regular404Redirect": "http://regular/",
            "invalidShortUrlRedirect": "http://invalid/"}
            """#
        #expect(
            try lab.ask("PATCH", set, body).json == [
                "baseUrlRedirect": "http://base/", "regular404Redirect": "http://regular/",
                "invalidShortUrlRedirect": "http://invalid/", "expiredShortUrlRedirect": .null,
            ])
        let over = try lab.shorten(#"{"url": "http://x/", "expires_in": 1}"#)
        lab.world.pass(.seconds(2))
        for (target, place) in [
            ("/", "http://base/"), ("/nothing", "http://invalid/"), ("/\(over)", "http://invalid/"),
            ("/no%20code", "http://regular/"), ("/some/where/else", "http://regular/"),
        ] {
            let answer = try lab.ask("GET", target, host: "a.example")
            #expect(answer.status == 302 && answer.location == place, "\(target)")
        }
        #expect(try lab.ask("GET", "/api/links", host: "a.example").status == 200)
        #expect(try lab.ask("GET", "/nothing").status == 404 && lab.ask("GET", "/\(over)").location == "http://over/")
        #expect(try lab.ask("GET", "/some/where/else").status == 404 && lab.ask("GET", "/").status == 200)
        let orphans = try lab.ask("GET", "/rest/v3/visits/orphan").json["visits"]?["data"]
        #expect(orphans?[1]?["visitedUrl"] == "/some/where/else" && orphans?[1]?["type"] == "regular_404")

        let merged = try lab.ask("PATCH", set, #"{"domain": "a.example", "regular404Redirect": null}"#).json
        #expect(merged["regular404Redirect"] == .null && merged["baseUrlRedirect"] == "http://base/")
        #expect(try lab.ask("GET", "/some/where/else", host: "a.example").status == 404)
        try lab.ask("POST", path, #"{"longUrl": "http://x/", "domain": "b.example"}"#)
        lab.kill()
        try lab.begin()
        let domains = try lab.ask("GET", "/rest/v3/domains").json["domains"]
        #expect(domains?["data"]?[0]?["domain"] == "s.io" && domains?["data"]?[0]?["isDefault"] == true)
        #expect(domains?["data"]?[1]?["domain"] == "a.example" && domains?["data"]?[1]?["isDefault"] == false)
        #expect(domains?["data"]?[1]?["redirects"] == merged)
        #expect(domains?["data"]?[2]?["domain"] == "b.example" && domains?["data"]?[3] == nil)
        #expect(domains?["defaultRedirects"]?["expiredShortUrlRedirect"] == "http://over/")
        for (bad, name) in [
            (#"{"baseUrlRedirect": "http://x/"}"#, "domain"), (#"{"domain": "a/b"}"#, "domain"),
            (#"{"domain": "a", "baseUrlRedirect": "javascript:x"}"#, "baseUrlRedirect"),
            (#"{"domain": "a", "invalidShortUrlRedirect": 7}"#, "invalidShortUrlRedirect"),
        ] {
            let answer = try lab.ask("PATCH", set, bad)
            #expect(answer.status == 400 && answer.json["invalidElements"] == [.string(name)], "\(bad)")
        }
    }

    @Test("a code is as long as was asked for, whatever the numbers come to")
    func lengths() throws {
        let lab = try ShortenerLab()
        var codes: Set<String> = []
        for length in [4, 5, 6, 10, 4, 4] {
            let answer = try lab.ask("POST", path, "{\"longUrl\": \"http://x/\", \"shortCodeLength\": \(length)}")
            guard case .string(let code)? = answer.json["shortCode"] else { return #expect(Bool(false), "\(answer)") }
            #expect(code.count == length && codes.insert(code).inserted)
        }
        for bad in ["3", "11", "\"6\"", "4.5"] {
            let answer = try lab.ask("POST", path, "{\"longUrl\": \"http://x/\", \"shortCodeLength\": \(bad)}")
            #expect(answer.status == 400 && answer.json["invalidElements"] == ["shortCodeLength"], "\(bad)")
        }
        let slug = try lab.ask(
            "POST", path, #"{"longUrl": "http://x/", "shortCodeLength": 8, "customSlug": "mine"}"#)
        #expect(slug.json["shortCode"] == "mine", "an alias has its own length")
        let permutation = ShortCode(key: 9)
        #expect(permutation.code(5, length: 4) == permutation.code(5 + 62 * 62 * 62 * 62, length: 4))
        #expect(Set((0..<3844).map { permutation.code($0, length: 2) }).count == 3844)
    }

    @Test("a link that has what was given is found again: the newest, and none that is over")
    func existing() throws {
        let lab = try ShortenerLab()
        func make(_ more: String) throws -> String {
            let answer = try lab.ask("POST", path, "{\"longUrl\": \"http://x/\"\(more)}")
            guard case .string(let code)? = answer.json["shortCode"] else { return "\(answer.status)" }
            return code
        }
        let find = ", \"findIfExists\": true"
        let plain = try make("")
        lab.world.pass(.seconds(1))
        let tagged = try make(", \"tags\": [\"a\", \"b\"], \"title\": \"t\"")
        lab.world.pass(.seconds(1))
        let limited = try make(", \"maxVisits\": 1")
        #expect(try make(find) == limited, "the newest of all")
        #expect(try make(find + ", \"tags\": [\"b\", \"a\"]") == tagged)
        #expect(try make(find + ", \"maxVisits\": 1") == limited)
        #expect(try make(find + ", \"customSlug\": \"\(plain)\"") == plain)
        #expect(
            try lab.ask("POST", path, "{\"longUrl\": \"http://y/\", \"customSlug\": \"\(plain)\"\(find)}").status == 400
        )
        let new = try make(find + ", \"tags\": [\"c\"]")
        #expect(![plain, tagged, limited].contains(new))
        try lab.ask("GET", "/\(limited)")
        lab.world.pass(.seconds(2))
        #expect(try make(find + ", \"maxVisits\": 1") != limited, "it is over")
        let there = try make(find + ", \"domain\": \"d.example\"")
        #expect(try make(find + ", \"domain\": \"d.example\"") == there)
    }
}
