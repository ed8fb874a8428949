import CommandKit

/// What several commands have in common.
package enum CommonFlags {
    package static let json = CommandDescription.Flag("json", nil, "as JSON, for programs")
    package static let glyphs = CommandDescription.Flag(
        "glyphs", nil, .choice(Sparkline.Glyphs.allCases.map(\.rawValue)), "what curves are drawn with (block)")
}
