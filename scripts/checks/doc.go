// Package checks tests the build, the scripts and the commands in the documentation. Its tests run scripts/build,
// cmake and go on copies of the tree and take minutes, so they have the build tag checks:
//
//	go test -tags checks ./scripts/checks
//
// scripts/test runs them. Most need the variants default and fips, built by scripts/build.
package checks
