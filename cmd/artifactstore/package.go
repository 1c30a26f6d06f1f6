package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"artifactstore/cas/digest"
	"artifactstore/gateway/client"
)

func packageCommand(f *flags) *cobra.Command {
	return group("package", "Show, seal, hold, renew or delete a package",
		`A package is PRODUCER/NAME/VERSION. Make one with "push", list them with "ls".`,
		packageShowCommand(f), packageSealCommand(f), packageHoldCommand(f), packageReleaseCommand(f), packageRenewCommand(f), packageDeleteCommand(f))
}

// packageVerb returns a command whose first argument is a package.
func packageVerb(f *flags, cmd *cobra.Command, args int, do func(cmd *cobra.Command, c *client.Client, n client.PackageName, rest []string) error) *cobra.Command {
	cmd.Args = exactly(args)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := packageName(args[0])
		if err != nil {
			return err
		}
		c, err := newClient(f)
		if err != nil {
			return err
		}
		if err := do(cmd, c, n, args[1:]); err != nil {
			return fmt.Errorf("%s %s: %w", cmd.Name(), n, unreached(f, err))
		}
		return nil
	}
	return cmd
}

func packageSealCommand(f *flags) *cobra.Command {
	return packageVerb(f, &cobra.Command{
		Use:   "seal PRODUCER/NAME/VERSION",
		Short: "End changes to a package and print the digest of its manifest",
		Long: `End changes to a package, which "push --no-seal" or curl has filled, and print the
digest of its manifest. Sealing again prints the same digest.`,
		Example: `  artifactstore package seal ci-7/app/1.4.3`,
	}, 1, func(cmd *cobra.Command, c *client.Client, n client.PackageName, _ []string) error {
		d, err := c.Seal(cmd.Context(), n)
		if err != nil {
			return err
		}
		return said(cmd, f, struct {
			Package  client.PackageName `json:"package"`
			Manifest digest.Digest      `json:"manifest_digest"`
		}{n, d}, "%s", d)
	})
}

func packageHoldCommand(f *flags) *cobra.Command {
	return packageVerb(f, &cobra.Command{
		Use:   "hold PRODUCER/NAME/VERSION HOLD",
		Short: "Keep a package from expiry and deletion",
		Long: `Put a package under a hold: it neither expires nor can be deleted until every hold
on it was released. HOLD names it, such as a case or a ticket; holding again by the
same name changes nothing.`,
		Example: `  artifactstore package hold ci-7/app/1.4.2 case-1138`,
	}, 2, func(cmd *cobra.Command, c *client.Client, n client.PackageName, rest []string) error {
		created, err := c.HoldPackage(cmd.Context(), n, rest[0])
		if err != nil {
			return err
		}
		what := "is under the hold"
		if !created {
			what = "was under the hold already:"
		}
		return said(cmd, f, struct {
			Package client.PackageName `json:"package"`
			Hold    string             `json:"hold"`
			Created bool               `json:"created"`
		}{n, rest[0], created}, "%s %s %s", n, what, rest[0])
	})
}

func packageReleaseCommand(f *flags) *cobra.Command {
	return packageVerb(f, &cobra.Command{
		Use:   "release PRODUCER/NAME/VERSION HOLD",
		Short: "End a hold on a package",
		Long: `End a hold on a package. Its time goes on from where it was: what would have
expired meanwhile does so soon.`,
		Example: `  artifactstore package release ci-7/app/1.4.2 case-1138`,
	}, 2, func(cmd *cobra.Command, c *client.Client, n client.PackageName, rest []string) error {
		if err := c.ReleasePackage(cmd.Context(), n, rest[0]); err != nil {
			return err
		}
		return said(cmd, f, struct {
			Package client.PackageName `json:"package"`
			Hold    string             `json:"released"`
		}{n, rest[0]}, "%s is no longer under the hold %s", n, rest[0])
	})
}

func packageRenewCommand(f *flags) *cobra.Command {
	var o client.PackageOptions
	cmd := packageVerb(f, &cobra.Command{
		Use:   "renew PRODUCER/NAME/VERSION --class CLASS",
		Short: "Keep a package for longer, by another retention class",
		Long: `Give a package, open or sealed, another retention class. Its time starts anew. A
class that keeps for less time is refused, unless --force insists; only an
administrator may do that. The class it has changes nothing.`,
		Example: `  artifactstore package renew ci-7/app/1.4.2 --class release`,
	}, 1, func(cmd *cobra.Command, c *client.Client, n client.PackageName, _ []string) error {
		if o.RetentionClass == "" {
			return usagef("--class is missing")
		}
		if _, err := c.Package(cmd.Context(), n); err != nil { // or it would be created
			return err
		}
		p, _, err := c.CreatePackage(cmd.Context(), n, o)
		if err != nil {
			return err
		}
		return said(cmd, f, p, "%s is of class %s, expires: %s", n, p.RetentionClass, expiry(p))
	})
	classFlag(cmd, &o.RetentionClass, "the `CLASS` it is to have")
	cmd.Flags().BoolVar(&o.Force, "force", false, "insist on a class that keeps for less time")
	return cmd
}

// said prints a sentence for people, or JSON.
func said(cmd *cobra.Command, f *flags, v any, format string, args ...any) error {
	if f.json {
		return printJSON(cmd, v)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	return err
}
