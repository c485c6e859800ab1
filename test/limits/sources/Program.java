// SPDX-License-Identifier: Apache-2.0
import java.util.ArrayList;
import java.util.List;

public class Program {
	public static void main(String[] args) throws Exception {
		switch (args[0]) {
			case "print" -> System.out.println("java");
			case "memory" -> {
				List<byte[]> kept = new ArrayList<>();
				for (;;) kept.add(new byte[1 << 20]);
			}
			case "spin" -> {
				for (int i = 0; i < 4; i++) new Thread(() -> { for (long n = 0;; n++) if (n < 0) return; }).start();
			}
			default -> System.exit(98);
		}
	}
}
