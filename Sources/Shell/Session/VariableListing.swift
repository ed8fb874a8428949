/// Variables as `set`, `declare -p`, `export -p` and `readonly -p` list them: as text that a shell reads as the same.
struct VariableListing {
    private let scope: VariableScope
    init(_ scope: VariableScope) { self.scope = scope }

    /// All that have a value, or were declared.
    ///
    /// - Parameter wanted: only with these attributes.
    func names(with wanted: VariableAttributes = []) -> [String] {
        Set(scope.values.keys).union(scope.arrays.keys).union(scope.attributes.keys).union(scope.references.keys)
            .filter { wanted.isEmpty || scope.hasAttributes($0, wanted) }.sorted()
    }

    /// `x='a b'`: what has a value.
    func assignments() -> [String] {
        names().compactMap { name in
            if let array = scope.arrays[name] {
                return array.isOnlyDeclared ? nil : "\(name)=\(ShellQuoting.declared(array))"
            }
            return scope.values[name].map { "\(name)=\(ShellQuoting.listed($0))" }
        }
    }

    /// `declare -x PATH="/bin"`; nil where there is no such variable.
    func declaration(_ name: String) -> String? {
        if let other = scope.references[name] { return "declare -n \(name)=\(ShellQuoting.declared(other))" }
        let array = scope.array(name)
        let value = array == nil ? scope.value(of: name) : nil
        guard array != nil || value != nil || scope.attributes[name] != nil else { return nil }
        let flags = ShellQuoting.flags(scope.attributes[name] ?? [], array)
        let start = "declare -\(flags.isEmpty ? "-" : flags) \(name)"
        if let array { return array.isOnlyDeclared ? start : "\(start)=\(ShellQuoting.declared(array))" }
        return value.map { "\(start)=\(ShellQuoting.declared($0))" } ?? start
    }
}
