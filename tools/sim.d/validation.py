def main(p,j): return 0
