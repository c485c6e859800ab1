// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <vector>

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!std::strcmp(what, "sum")) {
		std::vector<int> numbers;
		long sum = 0;
		for (int i = 0; i < 100; i++)
			numbers.push_back(i);
		for (int number : numbers)
			sum += number;
		std::cout << sum << std::endl;
	} else if (!std::strcmp(what, "memory")) {
		std::vector<long> numbers;
		for (;;)
			numbers.push_back(1);
	} else if (!std::strcmp(what, "throw")) {
		throw std::runtime_error("nobody catches this");
	} else {
		return 98;
	}
}
