import CommandKit

extension Process {
    /// A view as text for whoever reads this process's output: as wide as the terminal, and in colours only there.
    public func text(of view: View, asJSON: Bool, glyphs: Sparkline.Glyphs = .block) -> String {
        var renderer = session.renderer
        if !writesToTerminal {
            renderer.usesColor = false
            renderer.cutsCells = false
        }
        return asJSON ? renderer.json(view) : glyphs.redrawn(renderer.plain(view))
    }

    /// The same as its command was asked for it: by `--json`, by `--glyphs`.
    public func text(of view: View, for arguments: ParsedArguments) -> String {
        text(of: view, asJSON: arguments.wantsJSON, glyphs: arguments.glyphs)
    }
}
