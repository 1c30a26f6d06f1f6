package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"artifactstore/gateway/client"
)

func packageDeleteCommand(f *flags) *cobra.Command {
	return packageVerb(f, &cobra.Command{
		Use:   "delete PRODUCER/NAME/VERSION",
		Short: "Delete a package, at once and without asking",
		Long: `Delete a package, at once and without asking. Its bytes go when garbage is
collected, where nothing else needs them. A package under a hold is not deleted; the
holds on it are named then.`,
		Example: `  artifactstore package delete ci-7/app/1.4.2`,
	}, 1, func(cmd *cobra.Command, c *client.Client, n client.PackageName, _ []string) error {
		err := c.DeletePackage(cmd.Context(), n)
		if errors.Is(err, client.ErrPackageHeld) {
			return heldBy(cmd, c, n, err)
		}
		if err != nil {
			return err
		}
		return said(cmd, f, struct {
			Deleted client.PackageName `json:"deleted"`
		}{n}, "%s is deleted", n)
	})
}

// heldBy says which holds keep a package.
func heldBy(cmd *cobra.Command, c *client.Client, n client.PackageName, refused error) error {
	p, err := c.Package(cmd.Context(), n)
	if err != nil {
		return refused
	}
	var all []string
	for _, h := range p.Holds {
		all = append(all, holdText(p, h))
	}
	return fmt.Errorf("%w:\n  %s\nnothing was deleted; end a hold with \"artifactstore package release\"", refused, strings.Join(all, "\n  "))
}

// holdText says what a hold is, and through which package it came where that is
// another.
func holdText(p client.Package, h client.Hold) string {
	text := fmt.Sprintf("%s, by %s at %s", h.Name, h.By, moment(h.At))
	if h.Package != p.PackageName.String() {
		text += ", on " + h.Package
	}
	return text
}
