import random
import unittest

import rle


class TestRle(unittest.TestCase):
    def test_known(self):
        for text, code in (("", ""), ("a", "1a"), ("aaab", "3a1b"), ("a" * 12, "12a")):
            self.assertEqual(rle.encode(text), code)

    def test_there_and_back(self):
        rng = random.Random(7)
        for _ in range(200):
            text = "".join(rng.choice("abc \n") for _ in range(rng.randrange(40)))
            self.assertEqual(rle.decode(rle.encode(text)), text)


if __name__ == "__main__":
    unittest.main()
