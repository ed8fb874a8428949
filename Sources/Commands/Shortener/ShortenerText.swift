import CommandKit
import KernelJSON
import KernelStructures

/// What a shortener answers, as lines for people.
enum ShortenerText {
    static func text(_ value: JSONValue?) -> String {
        switch value {
        case .string(let text)?: text
        case .integer(let number)?: "\(number)"
        default: ""
        }
    }

    private static func number(_ value: JSONValue?) -> Int {
        if case .integer(let number)? = value { number } else { 0 }
    }

    private static func items(_ value: JSONValue?) -> [JSONValue] {
        if case .array(let items)? = value { items } else { [] }
    }

    static func links(_ answer: JSONValue) -> String {
        let all = items(answer["links"])
        guard !all.isEmpty else { return "no links\n" }
        return all.map { link in
            "\(text(link["short_url"]))  \(counted(number(link["clicks"]), "click"))  \(text(link["original_url"]))\n"
        }.joined()
    }

    static func link(_ answer: JSONValue) -> String {
        var lines = [
            "\(text(answer["short_url"])) leads to \(text(answer["original_url"])), by \(text(answer["redirect"]))",
            "Clicks: \(number(answer["clicks"]))",
        ]
        for (title, name) in [
            ("Title", "title"), ("Begins", "valid_since"), ("Ends", "expires_at"), ("Good for visits", "max_visits"),
            ("Owner", "owner"), ("Deleted", "deleted_at"),
        ] where !text(answer[name]).isEmpty {
            lines.append("\(title): \(text(answer[name]))")
        }
        let tags = items(answer["tags"]).map { text($0) }
        if !tags.isEmpty { lines.append("Tags: \(tags.joined(separator: ", "))") }
        return lines.map { $0 + "\n" }.joined()
    }

    static func statistics(_ answer: JSONValue) -> String {
        var lines = [
            "Clicks: \(number(answer["clicks"])), \(number(answer["bots"])) of them by bots",
            "Visitors: about \(number(answer["unique_visitors"]))",
        ]
        for (title, name) in [
            ("By day", "clicks_by_day"), ("From", "clicks_by_referrer"), ("By what", "clicks_by_agent"),
        ] {
            guard case .object(let members)? = answer[name], !members.isEmpty else { continue }
            lines.append("\(title): " + members.map { "\($0.key) \(number($0.value))" }.joined(separator: ", "))
        }
        return lines.map { $0 + "\n" }.joined()
    }

    static func keys(_ answer: JSONValue) -> String {
        let all = items(answer)
        guard !all.isEmpty else { return "no keys: anybody may use the APIs\n" }
        return all.map { key in
            let domain = text(key["domain"])
            return "\(text(key["name"]))  \(text(key["role"]))\(domain.isEmpty ? "" : "  \(domain)")\n"
        }.joined()
    }

    static func audit(_ answer: JSONValue) -> String {
        var lines = [
            "\(counted(number(answer["links"]), "link")), \(counted(number(answer["clicks"]), "click")), "
                + "\(number(answer["orphan_clicks"])) of codes that there are not"
        ]
        let differences = items(answer["differences"])
        lines.append(
            differences.isEmpty
                ? "The books agree: by link, by day, by referrer, by program"
                : "The books differ for \(counted(differences.count, "link")):")
        lines += differences.map { one in
            "  \(text(one["code"])): \(number(one["clicks"])) clicks, \(number(one["by_day"])) by day, "
                + "\(number(one["by_referrer"])) by referrer, \(number(one["by_agent"])) by program"
        }
        for life in items(answer["lives"]) { lines += Self.life(life) }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func life(_ life: JSONValue) -> [String] {
        let name = "\(text(life["node"])) since \(text(life["began_at"]))"
        let count = counted(number(life["clicks"]), "click")
        var lines: [String] = []
        switch text(life["ending"]) {
        case "": lines.append("\(name): running, \(count)")
        case "stopped": lines.append("\(name): stopped at \(text(life["ended_at"])), \(count), none lost")
        default:
            lines.append(
                "\(name): ended without a word before \(text(life["ended_at"])), \(count) and "
                    + "\(number(life["recovered"])) recovered")
            let risk = life["at_risk_if_power_failed"]
            lines.append(
                "  a kill has lost none that the disk took; if the power failed, clicks after "
                    + "\(text(risk?["since"])) may be missing")
        }
        if number(life["torn_bytes"]) > 0 {
            lines.append("  \(byteCountText(number(life["torn_bytes"]))) at its end were no whole click")
        }
        if number(life["refused_by_disk"]) > 0 {
            lines.append("  \(counted(number(life["refused_by_disk"]), "click")) the disk did not take")
        }
        return lines
    }
}
