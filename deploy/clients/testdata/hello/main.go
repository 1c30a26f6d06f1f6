// Command hello is what the test images of two platforms hold: a program of
// each.
package main

func main() { println("hello") }
