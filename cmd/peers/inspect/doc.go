// Package inspect tests pqinspect against connections of other stacks, and against tshark's reading of the
// same packets. It contains only tests.
package inspect
