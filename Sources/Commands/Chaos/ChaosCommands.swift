import ShellSession

/// What is typed to inject faults and to take them back.
package enum ChaosCommands {
    package static var all: [Command] { [inject, heal, faultList, calm] }
}
