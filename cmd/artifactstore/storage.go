package main

import "github.com/spf13/cobra"

func storageCommand(f *flags) *cobra.Command {
	return group("storage", "Look after the backends",
		`Backends are the places that hold the bytes. These commands find them by the same
configuration as "serve" and run beside a serving gateway.`,
		storageCollectCommand(f), storageVerifyCommand(f), storageRepairCommand(f), storageWhyCommand(f), storagePlanCommand(f), storageDoctorCommand(f))
}
