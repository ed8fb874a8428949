import KernelJSON
import KernelStructures
import ShortenerEngine

/// The tables, and what is asked of them.
enum LinkTables {
    static let definitions = [
        """
        CREATE TABLE IF NOT EXISTS url_links (code text PRIMARY KEY, target text NOT NULL, created_at bigint NOT NULL,
        valid_since bigint, expires_at bigint, max_visits bigint, redirect bigint NOT NULL, title text,
        tags text NOT NULL, is_alias bigint NOT NULL, forwards_query bigint NOT NULL, deleted_at bigint,
        version bigint NOT NULL, rules text, owner text, visits bigint NOT NULL, bots bigint NOT NULL)
        """,
        // Visits that were let through of links that are good for so many, where several shorteners share them.
        "CREATE TABLE IF NOT EXISTS url_claims (code text PRIMARY KEY, taken bigint NOT NULL)",
        "CREATE INDEX IF NOT EXISTS url_links_target ON url_links (target)",
        "CREATE INDEX IF NOT EXISTS url_links_created ON url_links (created_at, code)",
        "CREATE TABLE IF NOT EXISTS url_counters (name text PRIMARY KEY, value bigint NOT NULL)",
        """
        CREATE TABLE IF NOT EXISTS url_days
        (code text NOT NULL, name text NOT NULL, clicks bigint NOT NULL, PRIMARY KEY (code, name))
        """,
        """
        CREATE TABLE IF NOT EXISTS url_referrers
        (code text NOT NULL, name text NOT NULL, clicks bigint NOT NULL, PRIMARY KEY (code, name))
        """,
        """
        CREATE TABLE IF NOT EXISTS url_agents
        (code text NOT NULL, name text NOT NULL, clicks bigint NOT NULL, PRIMARY KEY (code, name))
        """,
        "CREATE TABLE IF NOT EXISTS url_visitors (code text PRIMARY KEY, registers text NOT NULL)",
        """
        CREATE TABLE IF NOT EXISTS url_positions
        (name text PRIMARY KEY, segment bigint NOT NULL, place bigint NOT NULL)
        """,
        """
        CREATE TABLE IF NOT EXISTS url_pages
        (node text NOT NULL, segment bigint NOT NULL, place bigint NOT NULL, PRIMARY KEY (node, segment, place))
        """,
        "CREATE TABLE IF NOT EXISTS url_recent (code text PRIMARY KEY, visits text NOT NULL)",
        """
        CREATE TABLE IF NOT EXISTS url_domains
        (name text PRIMARY KEY, base_url text, regular_404 text, invalid_url text, expired_url text)
        """,
        """
        CREATE TABLE IF NOT EXISTS url_keys
        (name text PRIMARY KEY, digest text NOT NULL, role text NOT NULL, created_at bigint NOT NULL, expires_at bigint,
        domain text)
        """,
        """
        CREATE TABLE IF NOT EXISTS url_lives
        (node text NOT NULL, life bigint NOT NULL, began_at bigint NOT NULL, synced_at bigint NOT NULL,
        clicks bigint NOT NULL, ended_at bigint, ending text, recovered bigint NOT NULL, torn_bytes bigint NOT NULL,
        lost bigint NOT NULL, book bigint, PRIMARY KEY (node, life))
        """,
        """
        CREATE TABLE IF NOT EXISTS url_runs
        (book bigint NOT NULL, low bigint NOT NULL, high bigint NOT NULL, PRIMARY KEY (book, low))
        """,
        """
        CREATE TABLE IF NOT EXISTS url_history
        (code text NOT NULL, version bigint NOT NULL, changed_at bigint NOT NULL, what text NOT NULL,
        PRIMARY KEY (code, version))
        """,
    ].map { LinkStatement($0) }

    /// Whether a table has all its columns, and what gives them to one that an earlier version has made.
    static let additions: [(question: String, statements: [LinkStatement])] = [
        (
            "SELECT rules, owner FROM url_links LIMIT 1",
            ["rules", "owner"].map { LinkStatement("ALTER TABLE url_links ADD COLUMN \($0) text") }
        ),
        ("SELECT book FROM url_lives LIMIT 1", [LinkStatement("ALTER TABLE url_lives ADD COLUMN book bigint")]),
        (
            "SELECT expired_url FROM url_domains LIMIT 1",
            [LinkStatement("ALTER TABLE url_domains ADD COLUMN expired_url text")]
        ),
        ("SELECT domain FROM url_keys LIMIT 1", [LinkStatement("ALTER TABLE url_keys ADD COLUMN domain text")]),
    ]

    static let columns =
        "code, target, created_at, valid_since, expires_at, max_visits, redirect, title, tags, is_alias, "
        + "forwards_query, deleted_at, version, rules, owner, visits, bots"
    /// The first of them are the link's own; the last two are counted.
    private static let ownColumnCount = 15

    /// A condition: links of the owner and of the domain that the parameters name; either is empty for all.
    ///
    /// - Parameter domain: see `at`.
    static func within(_ owner: String, _ domain: String) -> String {
        "(\(owner) = '' OR owner = \(owner)) AND \(at(domain))"
    }

    /// A condition: links of the domain that the parameter names, with a slash behind it; of none for `DEFAULT`; all if
    /// it is empty.
    static func at(_ parameter: String) -> String {
        "(\(parameter) = '' OR (\(parameter) = 'DEFAULT' AND replace(code, '/', '') = code) "
            + "OR substr(code, 1, length(\(parameter))) = \(parameter))"
    }

    /// A row of `columns`.
    static func link(_ row: [ColumnValue]) -> (link: Link, visits: Int, bots: Int)? {
        guard row.count == ownColumnCount + 2, let code = row[0].text, let target = row[1].text,
            let createdAt = row[2].time
        else {
            return nil
        }
        let link = Link(
            code: code, target: target, createdAt: createdAt, validSince: row[3].time, expiresAt: row[4].time,
            maxVisits: row[5].integer, redirect: Redirect(rawValue: row[6].integer ?? 0) ?? .permanent,
            title: row[7].text, tags: tags(row[8].text ?? ""), isAlias: row[9].integer == 1,
            forwardsQuery: row[10].integer == 1, rules: RedirectRule.list(stored: row[13].text), owner: row[14].text,
            deletedAt: row[11].time, version: row[12].integer ?? 1)
        return (link, row[15].integer ?? 0, row[16].integer ?? 0)
    }

    /// Tags have no spaces.
    static func tags(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }

    private static func values(_ link: Link) -> [ColumnValue] {
        [
            .text(link.code), .text(link.target), ColumnValue(link.createdAt), ColumnValue(link.validSince),
            ColumnValue(link.expiresAt), ColumnValue(link.maxVisits), .integer(Int64(link.redirect.rawValue)),
            ColumnValue(link.title), .text(link.tags.isEmpty ? "" : " " + link.tags.joined(separator: " ") + " "),
            .integer(link.isAlias ? 1 : 0), .integer(link.forwardsQuery ? 1 : 0), ColumnValue(link.deletedAt),
            .integer(Int64(link.version)), ColumnValue(link.rules.isEmpty ? nil : RedirectRule.stored(link.rules)),
            ColumnValue(link.owner),
        ]
    }

    /// As it stands in a cache that others share.
    static func encoded(_ link: Link) -> [UInt8] {
        JSONValue.array(
            values(link).map { value in
                switch value {
                case .null: .null
                case .integer(let number): .integer(Int(number))
                case .text(let text): .string(text)
                }
            }
        ).bytes()
    }

    /// Nil for what is no link, or one of another version's.
    static func link(encoded bytes: [UInt8]) -> Link? {
        guard case .array(let items)? = try? JSONValue(parsing: bytes), items.count == ownColumnCount else {
            return nil
        }
        let row = items.map { item -> ColumnValue in
            switch item {
            case .integer(let number): .integer(Int64(number))
            case .string(let text): .text(text)
            default: .null
            }
        }
        return link(row + [.integer(0), .integer(0)])?.link
    }

    /// One row if the code was free, none if it is taken: the database decides, in one step.
    static func insert(_ link: Link) -> LinkStatement {
        let marks = (1...ownColumnCount).map { "$\($0)" }.joined(separator: ", ")
        return LinkStatement(
            "INSERT INTO url_links (\(columns)) VALUES (\(marks), 0, 0) ON CONFLICT (code) DO NOTHING RETURNING code",
            values(link))
    }

    /// One row if nobody else has changed it meanwhile.
    static func update(_ link: Link, from version: Int) -> LinkStatement {
        let names = columns.split(separator: ",").map { $0.trimmingBlanks }.prefix(ownColumnCount)
        let sets = names.enumerated().dropFirst().map { "\($1) = $\($0 + 1)" }.joined(separator: ", ")
        return LinkStatement(
            "UPDATE url_links SET \(sets) WHERE code = $1 AND version = $\(ownColumnCount + 1) RETURNING code",
            values(link) + [.integer(Int64(version))])
    }

    static func select(_ code: String) -> LinkStatement {
        LinkStatement("SELECT \(columns) FROM url_links WHERE code = $1", [.text(code)])
    }

    /// A row if one of the visits that the link is good for was left, and is taken now: in one step, so that two who
    /// redirect by the same database never give away the same one. What was counted otherwise counts, too.
    static func claim(_ code: String) -> LinkStatement {
        LinkStatement(
            "INSERT INTO url_claims (code, taken) SELECT code, visits + 1 FROM url_links WHERE code = $1 "
                + "AND visits < max_visits ON CONFLICT (code) DO UPDATE SET taken = CASE WHEN excluded.taken > "
                + "url_claims.taken THEN excluded.taken ELSE url_claims.taken + 1 END WHERE url_claims.taken < "
                + "(SELECT max_visits FROM url_links WHERE url_links.code = $1) RETURNING taken", [.text(code)])
    }

    static func claims(of code: String) -> LinkStatement {
        LinkStatement("SELECT taken FROM url_claims WHERE code = $1", [.text(code)])
    }

    static func history(_ link: Link, what: String, at time: LabTime) -> LinkStatement {
        LinkStatement(
            "INSERT INTO url_history (code, version, changed_at, what) VALUES ($1, $2, $3, $4)",
            [.text(link.code), .integer(Int64(link.version)), ColumnValue(time), .text(what)])
    }

    // MARK: Counting

    /// Names of referrers that a link has of its own; the rest is `other`, or anybody could fill the table.
    static let referrerLimit = 1000

    static func add(_ totals: ClickTotals) -> [LinkStatement] {
        var statements = totals.clicks.filter { $0.key != Click.orphans }.sorted { $0.key < $1.key }.map {
            code, count in
            LinkStatement(
                "UPDATE url_links SET visits = visits + $2, bots = bots + $3 WHERE code = $1",
                [.text(code), .integer(Int64(count)), .integer(Int64(totals.bots[code] ?? 0))])
        }
        statements += totals.days.sorted { $0.key < $1.key }.map {
            add("url_days", $0.key.code, $0.key.day, $0.value)
        }
        statements += totals.agents.sorted { $0.key < $1.key }.map {
            add("url_agents", $0.key.code, $0.key.name, $0.value)
        }
        statements += totals.referrers.sorted { $0.key < $1.key }.map { key, count in
            LinkStatement(
                "INSERT INTO url_referrers (code, name, clicks) SELECT $1, CASE WHEN "
                    + "(SELECT count(*) FROM url_referrers WHERE code = $1) < \(referrerLimit) OR EXISTS "
                    + "(SELECT 1 FROM url_referrers WHERE code = $1 AND name = $2) THEN $2 ELSE 'other' END, $3 "
                    + "WHERE true ON CONFLICT (code, name) DO UPDATE "
                    + "SET clicks = url_referrers.clicks + excluded.clicks",
                [.text(key.code), .text(key.name), .integer(Int64(count))])
        }
        return statements
    }

    private static func add(_ table: String, _ code: String, _ name: String, _ count: Int) -> LinkStatement {
        LinkStatement(
            "INSERT INTO \(table) (code, name, clicks) VALUES ($1, $2, $3) "
                + "ON CONFLICT (code, name) DO UPDATE SET clicks = \(table).clicks + excluded.clicks",
            [.text(code), .text(name), .integer(Int64(count))])
    }

    /// What is known of a code's visitors: how many there were, and the last of them.
    static func visitors(of code: String) -> LinkStatement {
        LinkStatement(
            "SELECT registers, (SELECT visits FROM url_recent WHERE code = $1) FROM url_visitors WHERE code = $1",
            [.text(code)])
    }

    static func setVisitors(_ code: String, _ estimate: DistinctEstimate, _ recent: RecentVisits) -> [LinkStatement] {
        // A register is a number of at most 55: a letter each.
        let text = String(decoding: estimate.registers.map { $0 + 64 }, as: UTF8.self)
        return [
            LinkStatement(
                "INSERT INTO url_visitors (code, registers) VALUES ($1, $2) "
                    + "ON CONFLICT (code) DO UPDATE SET registers = excluded.registers",
                [.text(code), .text(text)]),
            LinkStatement(
                "INSERT INTO url_recent (code, visits) VALUES ($1, $2) "
                    + "ON CONFLICT (code) DO UPDATE SET visits = excluded.visits",
                [.text(code), .text(recent.stored)]),
        ]
    }

    static func estimate(_ row: [ColumnValue]) -> DistinctEstimate {
        DistinctEstimate(registers: (row.first?.text ?? "").utf8.map { $0 >= 64 ? $0 - 64 : .max })
    }

    /// What of a page is written that came by a broker: of two who enter the same page at once, one fails.
    static func page(_ name: String, _ end: ClickPosition) -> [LinkStatement] {
        [
            LinkStatement(
                "DELETE FROM url_pages WHERE node = $1 AND segment < $2",
                [.text(name), .integer(Int64(end.segment) - 1)]),
            LinkStatement(
                "INSERT INTO url_pages (node, segment, place) VALUES ($1, $2, $3)",
                [.text(name), .integer(Int64(end.segment)), .integer(Int64(end.offset))]),
        ]
    }

    /// Enters names of clicks: a run that goes on where another ends makes that longer.
    static func add(_ run: ClickRun) -> LinkStatement {
        LinkStatement(
            "INSERT INTO url_runs (book, low, high) SELECT $1, "
                + "coalesce((SELECT min(low) FROM url_runs WHERE book = $1 AND high + 1 = $2), $2), $3 WHERE true "
                + "ON CONFLICT (book, low) DO UPDATE SET high = excluded.high",
            [.integer(Int64(run.book)), .integer(Int64(run.first)), .integer(Int64(run.last))])
    }

    /// Numbers that the database keeps for good: those that are proposed, unless it has others already. The answers
    /// to the last statements are theirs.
    static func secrets(_ proposals: [(name: String, value: UInt64)]) -> [LinkStatement] {
        proposals.map {
            LinkStatement(
                "INSERT INTO url_counters (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                [.text($0.name), .integer(Int64(bitPattern: $0.value))])
        }
            + proposals.map {
                LinkStatement("SELECT value FROM url_counters WHERE name = $1", [.text($0.name)])
            }
    }

    static func setPosition(_ name: String, _ position: ClickPosition) -> LinkStatement {
        LinkStatement(
            "INSERT INTO url_positions (name, segment, place) VALUES ($1, $2, $3) "
                + "ON CONFLICT (name) DO UPDATE SET segment = excluded.segment, place = excluded.place",
            [.text(name), .integer(Int64(position.segment)), .integer(Int64(position.offset))])
    }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring { drop { $0 == " " } }
}
