import KernelJSON
import KernelStructures
import KernelWorld
import ShortenerService
import TestSupport
import Testing

@Suite("The shortener over the network")
struct HostTests {
    // @covers URL-H2 URL-M1
    @Test("a link leads on with its status, and is kept by browsers for a moment only")
    func redirects() throws {
        let lab = try ShortenerLab()
        for (status, cache) in [
            (301, "private, max-age=90"), (302, "private, no-store"), (307, "private, no-store"),
            (308, "private, max-age=90"),
        ] {
            let code = try lab.shorten("{\"url\": \"https://example.com/\(status)\", \"redirect\": \(status)}")
            for _ in 0..<2 {
                let answer = try lab.ask("GET", "/\(code)")
                #expect(answer.status == status && answer.location == "https://example.com/\(status)")
                #expect(answer.cacheControl == cache)
            }
        }
        #expect(try lab.ask("GET", "/nothing").status == 404)
        #expect(try lab.ask("GET", "/api/stats/nothing").status == 404)
    }

    // @covers URL-C4
    @Test("a thousand who want one alias at the same time: one has it, all others are told")
    func aliasRace() throws {
        let lab = try ShortenerLab()
        let body = #"{"url": "https://example.com/", "alias": "mine"}"#
        let clients = try (0..<1000).map { index in
            let client = try RawClient(try lab.world.node("c\(index)"), "urls", 80)
            client.write("POST /api/shorten HTTP/1.1\r\nHost: s\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            return client
        }
        lab.world.pass(.seconds(1))
        let statuses = clients.map { $0.answers.first?.status ?? 0 }
        #expect(statuses.count { $0 == 201 } == 1)
        #expect(statuses.count { $0 == 409 } == 999)
    }

    // @covers URL-C1
    @Test("where an alias has a code already, another code is taken")
    func collisions() throws {
        let lab = try ShortenerLab { $0.codeLength = 1 }
        let alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        for letter in alphabet.dropFirst(2) {
            #expect(
                try lab.ask("POST", "/api/shorten", "{\"url\": \"http://a/\", \"alias\": \"\(letter)\"}").status == 201)
        }
        let codes = try (0..<5).map { _ in try lab.shorten(#"{"url": "http://b/"}"#) }
        #expect(Set(codes).count == 5)
        #expect(codes.count { $0.count == 1 } == 2, "the two that were left, and then longer ones")
    }

    // @covers URL-C5
    @Test("over is not unknown: 410 after the time and after the visits, 404 before it begins, at the very moment")
    func expiry() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/", "expires_in": 10}"#)
        #expect(try lab.ask("GET", "/\(code)").status == 301)
        lab.world.pass(.seconds(9))
        #expect(try lab.ask("GET", "/\(code)").status == 301)
        lab.world.pass(.seconds(1))
        #expect(try lab.ask("GET", "/\(code)").status == 410)
        let few = try lab.shorten(#"{"url": "http://a/", "max_visits": 2}"#)
        #expect(try lab.ask("HEAD", "/\(few)").status == 301, "who only asks does not use it up")
        #expect(try (0..<4).map { _ in try lab.ask("GET", "/\(few)").status } == [301, 301, 410, 410])
        lab.world.pass(.seconds(2))
        #expect(try lab.ask("GET", "/\(few)").status == 410, "also when the database has counted them")
        let later = try lab.shorten(#"{"url": "http://a/", "valid_since": "2200-01-01T00:00:00Z"}"#)
        #expect(try lab.ask("GET", "/\(later)").status == 404)
    }

    // @covers URL-C5
    @Test("no browser keeps a link for longer than the link lives, nor one whose visits are limited")
    func keptToTheEnd() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/", "expires_in": 120}"#)
        #expect(try lab.ask("GET", "/\(code)").cacheControl == "private, max-age=90")
        #expect(try lab.ask("GET", "/\(code)").cacheControl == "private, max-age=90", "from memory, too")
        lab.world.pass(.milliseconds(99_500))
        #expect(try lab.ask("GET", "/\(code)").cacheControl == "private, max-age=20")
        lab.world.pass(.seconds(20))
        let last = try lab.ask("GET", "/\(code)")
        #expect(last.status == 301 && last.cacheControl == "private, no-store")
        let few = try lab.shorten(#"{"url": "http://a/", "max_visits": 5}"#)
        for _ in 0..<2 { #expect(try lab.ask("GET", "/\(few)").cacheControl == "private, no-store") }
    }

    // @covers URL-C2 URL-H4
    @Test("what is asked for again comes from memory, and a change is seen at once")
    func caching() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://old/"}"#)
        for _ in 0..<10 { try lab.ask("GET", "/\(code)") }
        let misses = lab.host.statistics.first(where: { $0.key == "cache_misses" })?.value
        for _ in 0..<10 { try lab.ask("GET", "/\(code)") }
        #expect(lab.host.statistics.first(where: { $0.key == "cache_misses" })?.value == misses)
        #expect(try lab.ask("PATCH", "/api/links/\(code)", #"{"url": "http://new/"}"#).status == 200)
        #expect(try lab.ask("PATCH", "/api/links/\(code)", #"{"title": "n"}"#).json["clicks"] == 20)
        #expect(try lab.ask("GET", "/\(code)").location == "http://new/")
        #expect(try lab.ask("GET", "/\(code)+").body.contains("http://new/"))
        #expect(try lab.ask("GET", "/api/links/\(code)/history").body.contains("was http://old/"))
        #expect(try lab.ask("DELETE", "/api/links/\(code)").status == 200)
        #expect(try lab.ask("GET", "/\(code)").status == 410)
        #expect(try lab.ask("POST", "/api/shorten", "{\"url\": \"http://x/\", \"alias\": \"\(code)\"}").status == 409)
    }

    // @covers URL-C3 URL-M3 URL-H3
    @Test("clicks are counted once, whenever the process is killed")
    func kills() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        var random = SeededRandom(seed: 5)
        var served = 0
        for _ in 0..<30 {
            for _ in 0..<random.below(6) where try lab.ask("GET", "/\(code)").status == 301 { served += 1 }
            lab.world.pass(.milliseconds(random.below(1500)))
            lab.kill()
            try lab.begin()
        }
        #expect(served > 30)
        let stats = try lab.ask("GET", "/api/stats/\(code)")
        #expect(stats.json["clicks"] == .integer(served), "\(stats.status) \(stats.body)")
    }

    // @covers URL-M4
    @Test("a thousand visits in a second, over twenty connections: each is sent on, and each is counted")
    func thousand() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        let clients = try (0..<20).map { try RawClient(try lab.world.node("c\($0)"), "urls", 80) }
        for _ in 0..<50 {
            for client in clients { client.write("GET /\(code) HTTP/1.1\r\nHost: s\r\n\r\n") }
            lab.world.pass(.milliseconds(20))
        }
        #expect(clients.map { $0.answers.count { $0.status == 301 } } == Array(repeating: 50, count: 20))
        lab.world.pass(.seconds(2))
        let stats = try lab.ask("GET", "/api/stats/\(code)")
        #expect(stats.json["clicks"] == 1000, "\(stats.body)")
    }

    @Test("referrers, programs, days and bots add up to the clicks")
    func statistics() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        for (field, times) in [("Referer: https://www.google.com/\r\n", 3), ("User-Agent: Googlebot\r\n", 2), ("", 1)] {
            for _ in 0..<times { try lab.ask("GET", "/\(code)", fields: field) }
        }
        try lab.ask("GET", "/\(code)/track")
        let numbers = try lab.ask("GET", "/api/stats/\(code)?details").json
        #expect(numbers["clicks"] == 7 && numbers["bots"] == 2)
        #expect(numbers["top_referrers"] == ["google.com"])
        #expect(numbers["clicks_by_referrer"] == ["direct": 4, "google.com": 3])
        #expect(numbers["clicks_by_agent"] == ["other": 5, "bot": 2])
        #expect(numbers["unique_visitors"] == 2, "one address, two programs")
    }

    // @covers URL-B1
    @Test("bad input is told where and what")
    func badInput() throws {
        let lab = try ShortenerLab { $0.createsPerMinute = 30 }
        for (body, status) in [
            ("", 400), ("{", 400), ("{}", 400), (#"{"url": 1}"#, 400), (#"{"url": "javascript:alert(1)"}"#, 400),
            (#"{"url": "http://a/", "alias": "a b"}"#, 400), (#"{"url": "http://a/", "nope": 1}"#, 400),
            (#"{"url": "http://a/", "max_visits": 0}"#, 400), (#"{"url": "http://a/", "expires_at": "soon"}"#, 400),
            (#"{"url": "http://a/", "redirect": 200}"#, 400), (#"{"url": "http://s.io/x"}"#, 422),
            (#"{"url": "http://u:p@a/"}"#, 400), (#"{"url": "http://a/", "tags": ["a b"]}"#, 400),
        ] {
            let answer = try lab.ask("POST", "/api/shorten", body)
            #expect(answer.status == status, "\(body): \(answer.body)")
            #expect(answer.json["detail"] != nil, "\(body)")
        }
        var statuses: [Int] = []
        for number in 0..<40 {
            statuses.append(try lab.ask("POST", "/api/shorten", "{\"url\": \"http://a/\(number)\"}").status)
        }
        #expect(statuses.contains(201) && statuses.last == 429, "one client makes so many links in a minute")
    }

    @Test("Retry-After is the truth, to the second: a second earlier is too early, then it is not")
    func retryAfter() throws {
        for limit in [1, 7, 30, 61] {
            let lab = try ShortenerLab { $0.createsPerMinute = limit }
            let body = #"{"url": "http://a/"}"#
            var refusal: (at: LabTime, wait: Int)?
            while refusal == nil {
                let now = lab.world.now
                let answer = try lab.ask("POST", "/api/shorten", body)
                if answer.status == 429 { refusal = (now, try #require(answer.retryAfter)) }
            }
            let (at, wait) = try #require(refusal)
            #expect((1...60).contains(wait), "\(limit) a minute")
            lab.world.pass(max(.zero, at + .seconds(wait - 1) - lab.world.now))
            #expect(try lab.ask("POST", "/api/shorten", body).status == 429, "\(limit) a minute: \(wait)")
            lab.world.pass(max(.zero, at + .seconds(wait) - lab.world.now))
            #expect(try lab.ask("POST", "/api/shorten", body).status == 201, "\(limit) a minute: \(wait)")
        }
    }

    @Test("what a stranger types ends no line of an answer's head, by whichever door it comes")
    func headerLines() throws {
        let lab = try ShortenerLab()
        let evil = #"http://a.example/x\r\nX-Evil: 1\r\n\r\ny"#
        let shlink = try lab.ask("POST", "/rest/v3/short-urls", "{\"longUrl\": \"\(evil)\", \"customSlug\": \"two\"}")
        try lab.ask("POST", "/api/shorten", "{\"url\": \"\(evil)\", \"alias\": \"one\"}")
        try lab.ask("GET", "/yourls-api.php?action=shorturl&keyword=three&url=http://a.example/x%0D%0AX-Evil:%201")
        let redirects = #"{"domain": "a.example", "invalidShortUrlRedirect": "\#(evil)"}"#
        try lab.ask("PATCH", "/rest/v3/domains/redirects", redirects)
        #expect(shlink.status == 200, "line ends are what browsers drop")
        for path in ["/one", "/two?x=%0D%0AX-Evil:1", "/three", "/nothing"] {
            // From the database, and from memory.
            for _ in 0..<2 {
                let client = try RawClient(lab.world.node("raw"), "urls", 80)
                client.write("GET \(path) HTTP/1.1\r\nHost: a.example\r\n\r\n")
                lab.world.pass(.milliseconds(20))
                let answer = client.answers.first
                #expect(
                    [301, 302].contains(answer?.status ?? 0) && client.answers.count == 1, "\(path): \(client.text)")
                #expect(answer?.head.value(of: "X-Evil") == nil, "\(path)")
                lab.world.nodes["raw"]?.end(.exited)
            }
        }
    }

    @Test("export and import, and keys")
    func moving() throws {
        let lab = try ShortenerLab { $0.apiKeys = ["secret"] }
        let key = "X-Api-Key: secret\r\n"
        #expect(try lab.ask("POST", "/api/shorten", #"{"url": "http://a/"}"#).status == 401)
        for name in ["one", "two"] {
            try lab.ask(
                "POST", "/api/shorten", "{\"url\": \"http://a/\", \"alias\": \"\(name)\", \"tags\": [\"t\"]}",
                fields: key)
        }
        let lines = try lab.ask("GET", "/api/export", fields: key).body
        #expect(lines.split(separator: "\n").count == 2)
        let other = try ShortenerLab(seed: 2)
        let imported = try other.ask("POST", "/api/import", lines + "{\"code\": \"x\"}\n").json
        #expect(imported["imported"] == 2)
        #expect(imported["refused"]?[0]?["line"] == 3)
        #expect(try other.ask("GET", "/two").location == "http://a/")
        #expect(try other.ask("GET", "/api/links?tag=t&limit=1").json["links"]?[0]?["code"] == "one")
    }

    @Test("Shlink's clients and YOURLS's find what they expect")
    func otherAPIs() throws {
        let lab = try ShortenerLab()
        let made = try lab.ask(
            "POST", "/rest/v3/short-urls",
            #"{"longUrl": "http://a/x", "customSlug": "s", "maxVisits": 5, "tags": ["k"]}"#)
        #expect(made.status == 200 && made.json["shortUrl"] == "http://s.io/s" && made.json["meta"]?["maxVisits"] == 5)
        let again = try lab.ask("POST", "/rest/v3/short-urls", #"{"longUrl": "http://a/x", "customSlug": "s"}"#)
        #expect(again.status == 400 && again.json["type"] == "https://shlink.io/api/error/non-unique-slug")
        try lab.ask("GET", "/s?from=mail")
        #expect(try lab.ask("GET", "/s?from=mail").location == "http://a/x?from=mail")
        #expect(try lab.ask("GET", "/rest/v3/short-urls/s").json["visitsSummary"]?["total"] == 2)
        #expect(
            try lab.ask("PATCH", "/rest/v3/short-urls/s", #"{"longUrl": "http://b/", "maxVisits": null}"#).json[
                "longUrl"] == "http://b/")
        #expect(
            try lab.ask("GET", "/rest/v3/short-urls?searchTerm=b").json["shortUrls"]?["pagination"]?["totalItems"] == 1)
        #expect(try lab.ask("GET", "/rest/v3/tags").json["tags"]?["data"] == ["k"])
        #expect(try lab.ask("DELETE", "/rest/v3/short-urls/s").status == 204)
        #expect(
            try lab.ask("GET", "/rest/v3/short-urls/s").json["type"]
                == "https://shlink.io/api/error/short-url-not-found")

        let yourls = "/yourls-api.php?format=json&action="
        let short = try lab.ask("GET", yourls + "shorturl&url=http://y/&keyword=yk").json
        #expect(short["status"] == "success" && short["shorturl"] == "http://s.io/yk")
        #expect(try lab.ask("GET", yourls + "shorturl&url=http://y/&keyword=s").json["code"] == "error:keyword")
        #expect(try lab.ask("GET", yourls + "expand&shorturl=yk").json["longurl"] == "http://y/")
        try lab.ask("GET", "/yk")
        #expect(try lab.ask("GET", yourls + "url-stats&shorturl=yk").json["link"]?["clicks"] == "1")
        #expect(try lab.ask("GET", "/yourls-api.php?format=simple&action=expand&shorturl=yk").body == "http://y/")
        #expect(try lab.ask("GET", "/yourls-api.php?action=nope").body.contains("<code>unknown-action</code>"))
    }
}

@Suite("The shortener and what nobody meant to send")
struct NoiseTests {
    @Test("whatever comes is answered, and never with a 500")
    func noise() throws {
        let lab = try ShortenerLab { $0.createsPerMinute = nil }
        var random = SeededRandom(seed: 11)
        let words = [
            "null", "{}", "[]", "\"\"", "-1", "1e999", "9223372036854775808", "\"\\u0000\"", "\"2030-01-01T00:00:00Z\"",
            "\"http://a/\"", "true", "301", "[\"t\"]", "\"9999-12-31T23:59:59Z\"", "\"é\"", "10000000000",
        ]
        let names = [
            "url", "alias", "expires_at", "expires_in", "valid_since", "max_visits", "redirect", "title", "tags",
            "forward_query", "longUrl", "customSlug", "validUntil", "maxVisits", "code", "original_url", "domain",
            "shortCodeLength", "findIfExists", "baseUrlRedirect", "regular404Redirect", "invalidShortUrlRedirect",
        ]
        let paths = [
            "/api/shorten", "/rest/v3/short-urls", "/api/import", "/api/links/go", "/rest/v3/short-urls/go",
            "/yourls-api.php?action=shorturl", "/api/links?limit=0", "/api/stats/%00", "/%00", "/go+", "/go/track",
            "/a%0d%0ab",
            "/yourls-api.php?action=expand&shorturl=%00", "/rest/v3/short-urls?page=1000000&itemsPerPage=1000",
            "/rest/v3/domains/redirects", "/rest/v3/domains", "/api/audit", "/rest/v3/short-urls/go?domain=%00",
            "/rest/v3/short-urls?domain=a%20b&orderBy=%27--&tags[]=%27", "/api/links/a%2Fgo", "/a/b/c?d",
        ]
        for _ in 0..<600 {
            let members = (0..<random.below(5)).map { _ in
                "\"\(names[random.below(names.count)])\": \(words[random.below(words.count)])"
            }
            let body =
                "{" + (random.chance(0.7) ? "\"url\": \"http://a/\", \"longUrl\": \"http://a/\", " : "")
                + members.joined(separator: ", ") + "}"
            let method = ["GET", "POST", "PATCH", "DELETE", "HEAD"][random.below(5)]
            let answer = try lab.ask(method, paths[random.below(paths.count)], body)
            #expect(
                answer.status >= 200 && answer.status < 500 || method == "HEAD", "\(method) \(body): \(answer.body)")
        }
        #expect(try lab.ask("GET", "/api/links").status == 200)
    }
}
