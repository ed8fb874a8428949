import ShellSession

/// What is typed to inject faults and to take them back, and to make experiments of them.
package enum ChaosCommands {
    package static var all: [Command] { [inject, heal, faultList, calm, pkill, chaosRunner, chaos, toxiproxy] }
}
