// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"os"
)

var kept [][]byte

func main() {
	switch os.Args[1] {
	case "print":
		numbers := make(chan int)
		for i := 0; i < 20; i++ {
			go func(i int) { numbers <- i }(i)
		}
		sum := 0
		for i := 0; i < 20; i++ {
			sum += <-numbers
		}
		fmt.Println(sum)
	case "memory":
		for {
			slice := make([]byte, 1<<20)
			for i := range slice {
				slice[i] = 1
			}
			kept = append(kept, slice)
		}
	case "deadlock":
		<-make(chan int)
	default:
		os.Exit(98)
	}
}
