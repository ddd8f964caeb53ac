//go:build !pqquic_historic

package tlsprovider

// historicGroups is empty: only the variant historic knows the groups of 2022.
var historicGroups []GroupInfo
