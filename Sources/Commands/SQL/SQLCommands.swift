import ShellSession

/// What is typed to ask a database.
package enum SQLCommands {
    package static var all: [Command] { [sql] }
}
